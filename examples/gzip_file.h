/* The blocking work of compress_tree: reads a file and gzips it, in memory. */
#ifndef GZIP_FILE_H
#define GZIP_FILE_H

#include <stddef.h>
#include <stdint.h>

/* A compressed file. One malloc, so that free is all its owner has to call. */
struct gzip_output {
    uint64_t original; /* bytes read */
    size_t size;       /* bytes of gzip */
    size_t room;
    uint32_t crc; /* CRC-32 of the gzip bytes */
    unsigned char bytes[];
};

/* Reads a regular file and compresses it at level 9. Returns 0, with an output that the caller frees, or an errno
 * value. Any thread; blocks. */
int gzip_file(const char *path, struct gzip_output **result);

/* Only reads the file, which leaves it in the page cache; returns 0 or an errno value. */
int gzip_file_warm_up(const char *path);

#endif

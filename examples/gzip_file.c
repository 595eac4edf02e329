#define _GNU_SOURCE

#include "gzip_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

enum {
    BUFFER_SIZE = 64 * 1024,
    FIRST_ROOM = 16 * 1024, /* holds most compressed headers */
    MOST_AT_ONCE = 1 << 30  /* zlib counts in unsigned int */
};

/* Opens a regular file for reading; returns its descriptor or a negated errno value. The tree may change under us: a
 * link, or a pipe that would block for ever, may stand where the listing saw a file. */
static int open_regular(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) != 0) {
        error = errno;
    } else if (!S_ISREG(status.st_mode)) {
        error = EINVAL;
    }
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

/* Reads some bytes (0 at the end of the file); returns 0 or an errno value. */
static int read_some(int fd, unsigned char *buffer, size_t room, size_t *count)
{
    ssize_t got;

    do {
        got = read(fd, buffer, room);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno;
    *count = (size_t)got;
    return 0;
}

/* Makes room for more output, twice as much as before; returns 0 or ENOMEM, which leaves the output as it was. */
static int output_grow(struct gzip_output **output)
{
    size_t room = *output ? (*output)->room * 2 : FIRST_ROOM;
    struct gzip_output *grown = realloc(*output, sizeof *grown + room);

    if (!grown)
        return ENOMEM;
    if (!*output)
        *grown = (struct gzip_output){0};
    grown->room = room;
    *output = grown;
    return 0;
}

/* Compresses the stream's input, all of it; with Z_FINISH to the end of the gzip file. Returns 0 or ENOMEM. */
static int deflate_all(z_stream *stream, int flush, struct gzip_output **output)
{
    do {
        if (!*output || (*output)->size == (*output)->room) {
            if (output_grow(output) != 0)
                return ENOMEM;
        }
        size_t room = (*output)->room - (*output)->size;
        if (room > MOST_AT_ONCE)
            room = MOST_AT_ONCE;
        stream->next_out = (*output)->bytes + (*output)->size;
        stream->avail_out = (uInt)room;
        deflate(stream, flush); /* cannot fail with a sound stream; what it did shows in avail_out */
        (*output)->size += room - stream->avail_out;
    } while (stream->avail_out == 0);
    return 0;
}

/* Reads to the end of the file and compresses; returns 0 or an errno value. There may be output either way. */
static int compress_all(int fd, struct gzip_output **output)
{
    unsigned char buffer[BUFFER_SIZE];
    z_stream stream = {0};
    uint64_t original = 0;
    size_t count = 0;
    int error;

    if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return ENOMEM; /* its only way to fail with constant arguments */
    do {
        error = read_some(fd, buffer, sizeof buffer, &count);
        if (error != 0)
            break;
        original += count;
        stream.next_in = buffer;
        stream.avail_in = (uInt)count;
        error = deflate_all(&stream, count == 0 ? Z_FINISH : Z_NO_FLUSH, output);
    } while (error == 0 && count != 0);
    deflateEnd(&stream);
    if (error == 0)
        (*output)->original = original;
    return error;
}

int gzip_file(const char *path, struct gzip_output **result)
{
    struct gzip_output *output = NULL;
    int fd = open_regular(path);
    int error;

    if (fd < 0)
        return -fd;
    error = compress_all(fd, &output);
    close(fd);
    if (error != 0) {
        free(output);
        return error;
    }
    output->crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), output->bytes, output->size);
    *result = output;
    return 0;
}

int gzip_file_warm_up(const char *path)
{
    unsigned char buffer[BUFFER_SIZE];
    size_t count = 0;
    int fd = open_regular(path);
    int error;

    if (fd < 0)
        return -fd;
    do {
        error = read_some(fd, buffer, sizeof buffer, &count);
    } while (error == 0 && count != 0);
    close(fd);
    return error;
}

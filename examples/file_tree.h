/* The files under a folder, for compress_tree. Main thread only. */
#ifndef FILE_TREE_H
#define FILE_TREE_H

#include <stddef.h>

struct tree_entry {
    char *path; /* the list's */
    int error;  /* the last errno value met with this path, or 0 */
};

struct tree_list {
    struct tree_entry *entries;
    size_t count;
    size_t room;
};

/* Lists regular files in a fixed order, links not followed. Folders that cannot be opened go to the second list, with
 * the reason. Returns 0, or an errno value: the folder itself cannot be opened, or memory is out. Both lists, empty
 * before, are to be freed either way. */
int tree_walk(const char *folder, struct tree_list *files, struct tree_list *closed);

/* Frees what a list holds, not the list. */
void tree_list_free(struct tree_list *list);

#endif

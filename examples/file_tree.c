#define _GNU_SOURCE

#include "file_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Takes the path over, also where it fails; returns 0 or ENOMEM. */
static int list_add(struct tree_list *list, char *path, int error)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 1024;
        struct tree_entry *entries = reallocarray(list->entries, room, sizeof *entries);
        if (!entries) {
            free(path);
            return ENOMEM;
        }
        list->entries = entries;
        list->room = room;
    }
    list->entries[list->count++] = (struct tree_entry){path, error};
    return 0;
}

void tree_list_free(struct tree_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->entries[i].path);
    free(list->entries);
    *list = (struct tree_list){0};
}

static int not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static unsigned char type_of(const char *path, const struct dirent *entry)
{
    struct stat status;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type; /* some file systems leave it to us */
    if (lstat(path, &status) != 0)
        return DT_REG; /* opening it will tell what is wrong */
    return (unsigned char)IFTODT(status.st_mode);
}

/* Takes in one entry of a folder; returns 0 or ENOMEM. */
static int take_entry(const char *folder, const struct dirent *entry, struct tree_list *files, struct tree_list *closed)
{
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    char *path;
    int error = 0;

    if (asprintf(&path, "%s%s%s", folder, slash, entry->d_name) < 0)
        return ENOMEM;
    switch (type_of(path, entry)) {
    case DT_REG:
        return list_add(files, path, 0);
    case DT_DIR:
        error = tree_walk(path, files, closed);
        if (error != 0 && error != ENOMEM)
            return list_add(closed, path, error);
        break;
    default: /* links, pipes, sockets, devices */
        break;
    }
    free(path);
    return error;
}

int tree_walk(const char *folder, struct tree_list *files, struct tree_list *closed)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, not_dots, alphasort);
    int error = 0;

    if (count < 0)
        return errno;
    for (int i = 0; i < count; i++) {
        if (error == 0)
            error = take_entry(folder, entries[i], files, closed);
        free(entries[i]);
    }
    free(entries);
    return error;
}

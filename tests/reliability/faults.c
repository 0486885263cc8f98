/* Loaded before the C library: makes the n-th file operation of one kind below one folder fail, and says so in a file.
   FAULT_FOLDER, FAULT_OPERATION (open, write, fsync, rename, mkdir), FAULT_NUMBER (1, 2, …), FAULT_ERRNO, FAULT_TOLD.
   With FAULT_SLOW_IF, a file's name, and FAULT_SECONDS: the first such operation once that file is there takes so
   long. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int count, waits;

static int is_below(const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_file_below(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void tell(void) {
    const char *told = getenv("FAULT_TOLD");
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int file = told ? next(told, O_CREAT | O_WRONLY, 0644) : -1;
    if (file >= 0) close(file);
}

/* Signals do not shorten it. */
static void wait_long(void) {
    struct timespec left = {atoi(getenv("FAULT_SECONDS")), 0};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

static int fails(const char *operation, int counts) {
    const char *wanted = getenv("FAULT_OPERATION"), *number = getenv("FAULT_NUMBER"), *slow = getenv("FAULT_SLOW_IF");
    if (!counts || !wanted || strcmp(wanted, operation) != 0) return 0;
    if (slow && access(slow, F_OK) == 0 && __sync_add_and_fetch(&waits, 1) == 1) {
        tell();
        wait_long();
    }
    if (!number || __sync_add_and_fetch(&count, 1) != atoi(number)) return 0;
    tell();
    errno = atoi(getenv("FAULT_ERRNO"));
    return 1;
}

#define OPEN(name)                                                                                  \
    int name(const char *path, int flags, ...) {                                                    \
        int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);                              \
        va_list rest;                                                                               \
        va_start(rest, flags);                                                                      \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                   \
        va_end(rest);                                                                               \
        return fails("open", (flags & O_CREAT) && is_below(path)) ? -1 : next(path, flags, mode);   \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *bytes, size_t size) {
    ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return fails("write", is_file_below(file)) ? -1 : next(file, bytes, size);
}

int fsync(int file) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
    return fails("fsync", is_file_below(file)) ? -1 : next(file);
}

int rename(const char *from, const char *to) {
    int (*next)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    return fails("rename", is_below(to)) ? -1 : next(from, to);
}

int mkdir(const char *path, mode_t mode) {
    int (*next)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
    return fails("mkdir", is_below(path)) ? -1 : next(path, mode);
}

/* Loaded before the C library: a Vulkan driver whose device is lost, or does not answer, from the n-th submit on, or
   that leaves out one dispatch. LOST_SUBMIT (1, 2, …); LOST_HANGS=1: waits end without the work being done;
   LOST_DISPATCH (1, 2, …): the one that does nothing. The loader is opened with dlopen, so its functions are taken over
   where they are looked up. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*Lookup)(void *, const char *);
enum { SUCCESS = 0, TIMEOUT = 2, DEVICE_LOST = -4 };

static Lookup instance_lookup, device_lookup;
static int (*next_submit)(void *, uint32_t, const void *, void *);
static int (*next_wait_fences)(void *, uint32_t, const void *, uint32_t, uint64_t);
static int (*next_wait_semaphores)(void *, const void *, uint64_t);
static void (*next_dispatch)(void *, uint32_t, uint32_t, uint32_t);
static int submits, dispatches;

static int is_over(void) {
    const char *number = getenv("LOST_SUBMIT");
    return number && submits >= atoi(number);
}
static int hangs(void) {
    return getenv("LOST_HANGS") != NULL;
}

static int submit(void *queue, uint32_t count, const void *infos, void *fence) {
    __sync_add_and_fetch(&submits, 1);
    if (!is_over()) return next_submit(queue, count, infos, fence);
    return hangs() ? SUCCESS : DEVICE_LOST;
}
static int wait_fences(void *device, uint32_t count, const void *fences, uint32_t all, uint64_t time) {
    if (!is_over()) return next_wait_fences(device, count, fences, all, time);
    return hangs() ? TIMEOUT : DEVICE_LOST;
}
static int wait_semaphores(void *device, const void *info, uint64_t time) {
    if (!is_over()) return next_wait_semaphores(device, info, time);
    return hangs() ? TIMEOUT : DEVICE_LOST;
}
/* Dispatches without workgroups only make the driver compile: they are not counted. */
static void dispatch(void *commands, uint32_t x, uint32_t y, uint32_t z) {
    const char *number = getenv("LOST_DISPATCH");
    if (x > 0 && number && __sync_add_and_fetch(&dispatches, 1) == atoi(number)) return;
    next_dispatch(commands, x, y, z);
}

static Function taken_over(const char *name, Function found) {
    if (!found) return found;
#define TAKE(wanted, next, own)            \
    if (strcmp(name, wanted) == 0) {       \
        next = (void *)found;              \
        return (Function)own;              \
    }
    TAKE("vkQueueSubmit", next_submit, submit)
    TAKE("vkCmdDispatch", next_dispatch, dispatch)
    TAKE("vkWaitForFences", next_wait_fences, wait_fences)
    TAKE("vkWaitSemaphores", next_wait_semaphores, wait_semaphores)
    TAKE("vkWaitSemaphoresKHR", next_wait_semaphores, wait_semaphores)
    return found;
}
static Function device_function(void *device, const char *name) {
    return taken_over(name, device_lookup(device, name));
}
static Function instance_function(void *instance, const char *name) {
    Function found = instance_lookup(instance, name);
    if (found && strcmp(name, "vkGetDeviceProcAddr") == 0) {
        device_lookup = (Lookup)found;
        return (Function)device_function;
    }
    return taken_over(name, found);
}

void *dlsym(void *library, const char *name) {
    static void *(*real)(void *, const char *);
    if (!real) {
        real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
        if (!real) real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    }
    void *found = real(library, name);
    if (found && strcmp(name, "vkGetInstanceProcAddr") == 0) {
        instance_lookup = (Lookup)found;
        return (void *)instance_function;
    }
    return found;
}

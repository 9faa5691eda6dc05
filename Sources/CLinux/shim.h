#pragma once
/* glibc functions that its headers show only with _GNU_SOURCE, which Swift's Glibc module is built without. */
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

int pthread_setname_np(pthread_t thread, const char *name);
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
int pipe2(int descriptors[2], int flags);
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

enum { TOLLGATE_POLLRDHUP = 0x2000, TOLLGATE_POSIX_SPAWN_SETSID = 0x80 };
enum { TOLLGATE_F_SETPIPE_SZ = 1031, TOLLGATE_F_GETPIPE_SZ = 1032 };

/* The process environment; Swift refuses the global variable itself, because it is not safe to change. */
static inline char **tollgate_environment(void) {
    extern char **environ;
    return environ;
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline);
/* Only there in a program that was built with ThreadSanitizer, which knows sem_wait and not sem_clockwait. */
__attribute__((weak)) void __tsan_acquire(void *address);

/* sem_clockwait on the monotonic clock, after which ThreadSanitizer knows that what was done before sem_post is seen. */
static inline int tollgate_sem_wait_until(sem_t *semaphore, const struct timespec *deadline) {
    int code = sem_clockwait(semaphore, CLOCK_MONOTONIC, deadline);
    if (code == 0 && __tsan_acquire) __tsan_acquire(semaphore);
    return code;
}

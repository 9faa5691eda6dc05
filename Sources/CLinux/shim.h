#pragma once
/* glibc functions that its headers show only with _GNU_SOURCE, which Swift's Glibc module is built without. */
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <time.h>

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline);
int pthread_setname_np(pthread_t thread, const char *name);
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

enum { TOLLGATE_POLLRDHUP = 0x2000 };

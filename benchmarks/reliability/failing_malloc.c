/* Allocators, made to fail: fail_at(n) for the n-th request from now, by any thread.
 *
 * Counted are what fastgrad's own modules ask for (malloc and its kin, LD_PRELOADed,
 * told by who calls) and the data of NumPy's arrays (`handler`, which NumPy is given).
 * What NumPy needs besides is not: where that fails, its iterators crash by themselves.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static atomic_long left; /* requests until the one that fails; 0: none does */
static atomic_long failed;

void fail_at(long n)
{
    atomic_store(&failed, 0);
    atomic_store(&left, n);
}

long how_many_failed(void)
{
    atomic_store(&left, 0);
    return atomic_load(&failed);
}

static int fails(void)
{
    if (atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1)
        return 0;
    atomic_fetch_add(&failed, 1);
    errno = ENOMEM;
    return 1;
}

static int is_ours(const void *caller)
{
    Dl_info info;
    return atomic_load(&left) > 0 && dladdr(caller, &info) &&
           strstr(info.dli_fname, "_kernels") != NULL;
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *old);

#define OURS is_ours(__builtin_return_address(0))

void *malloc(size_t size)
{
    return OURS && fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return OURS && fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return OURS && fails() ? NULL : __libc_realloc(old, size);
}

/* PyDataMem_Handler, version 1. */
static void *data_malloc(void *context, size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

static void *data_calloc(void *context, size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

static void *data_realloc(void *context, void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}

static void data_free(void *context, void *old, size_t size)
{
    __libc_free(old);
}

struct {
    char name[127];
    uint8_t version;
    void *context;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *, size_t);
} handler = {"failing", 1, NULL, data_malloc, data_calloc, data_realloc, data_free};

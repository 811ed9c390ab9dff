/* Loaded with LD_PRELOAD: counts the operations by which a process changes a folder, and at the n-th one kills the
   process, fails the operation or writes half. Also moves the wall clock. benchmarks/faults_trials.py arms it.

   Covered are libc's functions, through which Python, pyarrow, numpy and safetensors write; not stdio and mmap. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { LIST, KILL, TORN, POWER_CUT, FAIL, SHORT };  /* as ACTIONS in faults_trials.py */
#define MOST_DIRTY 65536

static char folder[PATH_MAX], report[PATH_MAX];
static size_t folder_length;
static int action, error_number, lasting;
static long nth;
static atomic_long count;
static atomic_int armed;

/* Files that were written and not synced since: a power cut empties them. */
static struct { dev_t device; ino_t inode; } dirty[MOST_DIRTY];
static int dirty_count;
static pthread_mutex_t dirty_lock = PTHREAD_MUTEX_INITIALIZER;

static double clock_shift;
static atomic_long clock_reads_left;

void faults_arm(const char *in, const char *report_to, long at, int what, int number, int lasts) {
    snprintf(folder, sizeof folder, "%s", in);
    snprintf(report, sizeof report, "%s", report_to);
    folder_length = strlen(folder);
    nth = at, action = what, error_number = number, lasting = lasts;
    atomic_store(&count, 0);
    atomic_store(&armed, 1);
}

void faults_shift_clock(double seconds, long after_reads) {
    clock_shift = seconds;
    atomic_store(&clock_reads_left, after_reads);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void tell(long number, const char *operation, const char *path) {
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%ld\t%s\t%s\n", number, operation, path + folder_length);
    int file = syscall(SYS_openat, AT_FDCWD, report, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (file >= 0) {
        syscall(SYS_write, file, line, length);
        syscall(SYS_close, file);
    }
}

static int find_dirty(const struct stat *of) {
    for (int k = 0; k < dirty_count; k++)
        if (dirty[k].device == of->st_dev && dirty[k].inode == of->st_ino) return k;
    return -1;
}

static void set_dirty(int file, int is_dirty) {
    struct stat of;
    if (fstat(file, &of) || !S_ISREG(of.st_mode)) return;
    pthread_mutex_lock(&dirty_lock);
    int k = find_dirty(&of);
    if (is_dirty && k < 0 && dirty_count < MOST_DIRTY)
        dirty[dirty_count].device = of.st_dev, dirty[dirty_count++].inode = of.st_ino;
    if (!is_dirty && k >= 0) dirty[k] = dirty[--dirty_count];
    pthread_mutex_unlock(&dirty_lock);
}

static int empty_dirty(const char *path, const struct stat *of, int type, struct FTW *at) {
    (void)at;
    if (type == FTW_F && find_dirty(of) >= 0) syscall(SYS_truncate, path, 0L);
    return 0;
}

static void die(void) {
    if (action == POWER_CUT) nftw(folder, empty_dirty, 32, FTW_PHYS);
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts an operation on `path`; returns 0 if it is to be done, -1 if half of it is, else the error it fails with. */
static int meet(const char *operation, const char *path) {
    if (strncmp(path, folder, folder_length) || (path[folder_length] && path[folder_length] != '/')) return 0;
    long number = atomic_fetch_add(&count, 1) + 1;
    if (action == LIST) { tell(number, operation, path); return 0; }
    if (number < nth || (number > nth && !lasting)) return 0;
    if (number == nth) tell(number, operation, path);
    int is_write = !strcmp(operation, "write");
    if (action == FAIL) return error_number;
    if ((action == TORN || action == SHORT) && is_write) return -1;
    if (action != SHORT) die();
    return 0;
}

static int meet_path(const char *operation, int at, const char *path) {
    char whole[2 * PATH_MAX], link[64];
    if (!atomic_load(&armed)) return 0;
    if (path[0] == '/') return meet(operation, path);
    ssize_t length;
    if (at == AT_FDCWD) length = getcwd(whole, PATH_MAX) ? (ssize_t)strlen(whole) : -1;
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        length = readlink(link, whole, PATH_MAX);
    }
    if (length < 0) return 0;
    snprintf(whole + length, PATH_MAX, "/%s", path);
    return meet(operation, whole);
}

static int meet_file(const char *operation, int file) {
    char path[PATH_MAX], link[64];
    if (!atomic_load(&armed) || file <= 2) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    int faulty = meet(operation, path);
    if (!strcmp(operation, "write") && !strncmp(path, folder, folder_length)) set_dirty(file, 1);
    return faulty;
}

#define FAIL_IF(faulty) do { int e = (faulty); if (e > 0) { errno = e; return -1; } } while (0)

/* Writes all or, where the operation is to be torn, half. */
#define WRITES(name, parameters, half_size, all, half)                   \
    ssize_t name parameters {                                            \
        REAL(name);                                                      \
        int faulty = meet_file("write", file);                           \
        if (faulty > 0) { errno = faulty; return -1; }                   \
        if (!faulty || (half_size) == 0) { if (faulty && action == TORN) die(); return real all; } \
        ssize_t written = real half;                                     \
        if (action == TORN) die();                                       \
        return written;                                                  \
    }
WRITES(write, (int file, const void *bytes, size_t size), size / 2, (file, bytes, size), (file, bytes, size / 2))
WRITES(pwrite, (int file, const void *bytes, size_t size, off_t at), size / 2, (file, bytes, size, at), (file, bytes, size / 2, at))
WRITES(pwrite64, (int file, const void *bytes, size_t size, off64_t at), size / 2, (file, bytes, size, at), (file, bytes, size / 2, at))
WRITES(writev, (int file, const struct iovec *parts, int parts_count), parts_count / 2, (file, parts, parts_count), (file, parts, parts_count / 2))
WRITES(sendfile, (int file, int from, off_t *at, size_t size), size / 2, (file, from, at, size), (file, from, at, size / 2))
WRITES(sendfile64, (int file, int from, off64_t *at, size_t size), size / 2, (file, from, at, size), (file, from, at, size / 2))
ssize_t copy_file_range(int from, off64_t *at, int file, off64_t *to, size_t size, unsigned flags) {
    REAL(copy_file_range);
    FAIL_IF(meet_file("write", file));
    return real(from, at, file, to, size, flags);
}

#define OF_FILE(name, operation, parameters, arguments) \
    int name parameters { REAL(name); FAIL_IF(meet_file(operation, file)); return real arguments; }
OF_FILE(ftruncate, "truncate", (int file, off_t size), (file, size))
OF_FILE(ftruncate64, "truncate", (int file, off64_t size), (file, size))

#define SYNCS(name) int name(int file) { \
    REAL(name); FAIL_IF(meet_file("fsync", file)); int failed = real(file); if (!failed) set_dirty(file, 0); return failed; }
SYNCS(fsync)
SYNCS(fdatasync)
void sync(void) { REAL(sync); real(); pthread_mutex_lock(&dirty_lock); dirty_count = 0; pthread_mutex_unlock(&dirty_lock); }

#define OF_PATH(name, operation, at, path, parameters, arguments) \
    int name parameters { REAL(name); FAIL_IF(meet_path(operation, at, path)); return real arguments; }
OF_PATH(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), (from, to))
OF_PATH(renameat, "rename", at, to, (int from_at, const char *from, int at, const char *to), (from_at, from, at, to))
OF_PATH(unlink, "unlink", AT_FDCWD, path, (const char *path), (path))
OF_PATH(unlinkat, "unlink", at, path, (int at, const char *path, int flags), (at, path, flags))
OF_PATH(mkdir, "mkdir", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
OF_PATH(mkdirat, "mkdir", at, path, (int at, const char *path, mode_t mode), (at, path, mode))
OF_PATH(rmdir, "rmdir", AT_FDCWD, path, (const char *path), (path))
OF_PATH(link, "link", AT_FDCWD, to, (const char *from, const char *to), (from, to))
OF_PATH(linkat, "link", at, to, (int from_at, const char *from, int at, const char *to, int flags), (from_at, from, at, to, flags))
OF_PATH(symlink, "link", AT_FDCWD, path, (const char *to, const char *path), (to, path))
OF_PATH(truncate, "truncate", AT_FDCWD, path, (const char *path, off_t size), (path, size))
OF_PATH(creat, "create", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))

#define OPENS(name, at, parameters, arguments)                                        \
    int name parameters {                                                             \
        REAL(name);                                                                   \
        mode_t mode = 0;                                                              \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, int); va_end(rest); } \
        if (flags & (O_CREAT | O_TRUNC)) FAIL_IF(meet_path("create", at, path));      \
        return real arguments;                                                        \
    }
OPENS(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPENS(openat64, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))

static double shift_now(void) {
    return clock_shift != 0 && atomic_fetch_sub(&clock_reads_left, 1) <= 0 ? clock_shift : 0;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += (time_t)shift_now();
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(gettimeofday);
    int failed = real(now, zone);
    if (!failed) now->tv_sec += (time_t)shift_now();
    return failed;
}
time_t time(time_t *at) {
    REAL(time);
    time_t now = real(NULL) + (time_t)shift_now();
    if (at) *at = now;
    return now;
}

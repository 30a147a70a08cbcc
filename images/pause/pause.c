/*
 * pause.c - the first process of a task's shared namespaces: does nothing, and cannot fail
 *
 * It is the only file of its container's image and is made without a C library, so that the image
 * is a few kilobytes that the agent carries with it. Children that lose their parent in the shared
 * process namespace become its own; as it ignores SIGCHLD, the kernel reaps them. It handles no
 * signal: the image's stop signal is SIGKILL.
 */
enum { SIGNAL_CHILD = 17, DISPOSITION_IGNORE = 1 };

/* struct sigaction of the kernel, not of a C library. */
struct kernel_sigaction {
    unsigned long handler;
    unsigned long flags;
    unsigned long rest[2]; /* restorer and mask, in either order */
};

#if defined(__x86_64__)
enum { CALL_SIGACTION = 13, CALL_PAUSE = 34 };

static long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

static void wait_for_signal(void)
{
    call(CALL_PAUSE, 0, 0, 0, 0);
}
#elif defined(__aarch64__)
enum { CALL_SIGACTION = 134, CALL_PPOLL = 73 };

static long call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

static void wait_for_signal(void)
{
    call(CALL_PPOLL, 0, 0, 0, 0);
}
#else
#error "pause.c knows x86_64 and aarch64"
#endif

void _start(void);

void _start(void)
{
    static const struct kernel_sigaction ignore = { .handler = DISPOSITION_IGNORE };

    call(CALL_SIGACTION, SIGNAL_CHILD, (long)&ignore, 0, 8);
    for (;;)
        wait_for_signal();
}

/*
 * The process that holds a Pod's namespaces: sleeps, reaps orphans (it is process 1 of a shared PID namespace), and leaves on
 * SIGINT or SIGTERM. Freestanding: no C library, no start files.
 *
 * x86-64: gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
 *           -s -Wl,-z,noseparate-code -Wl,--build-id=none -o pause-amd64 pause.c
 * arm64:  the same with aarch64-linux-gnu-gcc, without -fcf-protection, to pause-arm64
 */
enum { SIG_INT = 2, SIG_TERM = 15, SIG_CHLD = 17, NOCLDSTOP = 1, NOHANG = 1 };

#if defined(__x86_64__)
enum { RT_SIGACTION = 13, WAIT4 = 61, EXIT_GROUP = 231, PPOLL = 271 };

static long call(long number, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
}
/* x86-64 has the program bring its own way back from a handler: rt_sigreturn. */
enum { RESTORER = 0x04000000 };
__attribute__((naked)) static void restorer(void) { __asm__ volatile("mov $15, %eax\n syscall"); }
#elif defined(__aarch64__)
enum { RT_SIGACTION = 134, WAIT4 = 260, EXIT_GROUP = 94, PPOLL = 73 };

static long call(long number, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
/* The kernel's own way back from a handler is used on arm64. */
enum { RESTORER = 0 };
static void (*const restorer)(void) = 0;
#else
#error "pause: this architecture is not supported"
#endif

/* The kernel's struct sigaction, which is not the C library's. */
struct action {
  void (*handler)(int);
  unsigned long flags;
  void (*restore)(void);
  unsigned long mask;
};

static void leave(int signal) {
  (void)signal;
  call(EXIT_GROUP, 0, 0, 0, 0, 0);
}

static void reap(int signal) {
  (void)signal;
  while (call(WAIT4, -1, 0, NOHANG, 0, 0) > 0) {
  }
}

static void on(int signal, void (*handler)(int), unsigned long flags) {
  struct action action = {handler, flags | RESTORER, restorer, 0};
  call(RT_SIGACTION, signal, (long)&action, 0, sizeof action.mask, 0);
}

void _start(void) {
  on(SIG_INT, leave, 0);
  on(SIG_TERM, leave, 0);
  on(SIG_CHLD, reap, NOCLDSTOP);
  /* Polling nothing, without a limit, is pausing: arm64 has no pause(2). */
  for (;;) call(PPOLL, 0, 0, 0, 0, 0);
}

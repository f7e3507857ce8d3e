// Runs a program and writes down from when to when it ran (seconds since 1970), in a line of its own in TIMES:
//   timed PROGRAM [ARGUMENT…]; where PROGRAM was fixed by the compiler: timed [ARGUMENT…]
// A shell would take milliseconds to start, which are neither the program's nor those of whoever started it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **words) {
    struct timespec begin, end;
    clock_gettime(CLOCK_REALTIME, &begin);
#ifdef PROGRAM
    (void)count;
    words[0] = PROGRAM;
#else
    if (count < 2) return 64;
    words++;
#endif
    pid_t child;
    int fault = posix_spawn(&child, words[0], NULL, NULL, words, environ);
    if (fault) {
        fprintf(stderr, "%s cannot be started: %s\n", words[0], strerror(fault));
        return 127;
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    clock_gettime(CLOCK_REALTIME, &end);
    char line[96];
    int length = snprintf(
        line, sizeof line, "%lld.%06ld %lld.%06ld\n", (long long)begin.tv_sec, begin.tv_nsec / 1000,
        (long long)end.tv_sec, end.tv_nsec / 1000);
    int file = open(TIMES, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    // One write: programs that run at the same time write their lines whole.
    if (file < 0 || write(file, line, (size_t)length) != length) return 74;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

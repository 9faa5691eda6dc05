import Glibc

/// Settings of glibc's memory, which it reads from the environment when a program begins and nowhere else.
///
/// For thousands of threads its defaults keep too much: each thread caches freed memory of its own, up to seven pieces of each of
/// sixty-four sizes, which fills up load by load and, scattered over the heaps, holds a page a piece after it; and 40 MiB of ended
/// threads' stacks stay for the next ones. The rate of requests does not depend on either.
enum AllocatorSettings {
    private static let variable = "GLIBC_TUNABLES"
    /// A thread caches small pieces only, and an ended thread's stack is given back at once.
    private static let tunables = "glibc.malloc.tcache_max=64:glibc.pthread.stack_cache_size=0"

    /// Begins this program anew with the settings, as the same process; returns when it has them, or when that fails.
    ///
    /// To be called before there is anything that `execve` would end. What the operator has set stays; without the settings the
    /// program only needs more memory.
    static func apply() {
        guard getenv(variable) == nil else { return }
        // A program that was replaced since has no path any more.
        guard let path = realpath("/proc/self/exe", nil) else { return }
        defer { free(path) }
        setenv(variable, tunables, 0)
        execv(path, CommandLine.unsafeArgv)
    }
}

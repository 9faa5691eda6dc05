import CFastCGI

/// libfcgi's own state, one for the process.
enum Library {
    private static let initialised: Bool = FCGX_Init() == 0

    /// Initialises libfcgi once.
    ///
    /// It installs handlers for SIGPIPE, SIGUSR1 and SIGTERM where there are none; threads that block all signals never run them.
    static func initialise() {
        precondition(initialised, "FCGX_Init fails only without memory")
    }
}

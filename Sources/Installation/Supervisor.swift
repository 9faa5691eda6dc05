import FastCGI
import Glibc
import PrivateServers
import Threads

/// Runs a private installation from its start to its end: the servers, tollgated, the jobs, nginx.
///
/// Everything happens on the thread that calls `run`. Children end with us, whatever we die of; what a killed run leaves are
/// files, which the next start clears away.
package final class Supervisor {
    let options: InstallationOptions
    let layout: InstallationLayout
    let console: Console
    private let signals: SignalWatch
    private let programDirectory: String

    private var record = InstallationRecord()
    private var environment = EnvironmentFile()
    private var parts: [Part] = []
    private var jobs: JobSchedule?
    private var databaseDirectory = ""
    /// The FastCGI socket: ours, so that connections wait in it while a tollgated starts again.
    private var listener: Int32?

    private static let readySecondsMax = 60
    /// How long tollgated may take to end its requests; nginx has let them end before.
    private static let responderStopSeconds = 40
    private static let simulatorStopSeconds = 5
    private static let responderName = "tollgated"
    private static let tickMilliseconds = 500

    /// Creates a supervisor; nothing is touched before `run`.
    ///
    /// - Parameters:
    ///   - signals: Made first thing in the main thread, before there was any other.
    ///   - programDirectory: Where `tollgate` and `tollgated` are.
    package init(
        options: InstallationOptions, console: Console, signals: SignalWatch, programDirectory: String
    ) throws(InstallationError) {
        self.options = options
        self.console = console
        self.signals = signals
        self.programDirectory = programDirectory
        layout = try InstallationLayout(directory: options.directory)
    }

    /// Starts everything, keeps it running until a signal asks for the end, and stops everything.
    package func run() throws(InstallationError) {
        let began = Deadline.now
        let isNew = try SystemCalls.makeDirectory(layout.directory, mode: 0o755)
        do throws(InstallationError) {
            let lock = try InstallationLock(layout)
            SystemCalls.removeTree(layout.reportPath)
            try checkPorts()
            do throws(InstallationError) {
                try startAll()
            } catch {
                stopAll()
                throw error
            }
            console.say(
                Announcement(
                    layout: layout, environment: environment, shareDirectory: options.shareDirectory,
                    databaseDirectory: databaseDirectory,
                    seconds: Int(began.elapsedNanoseconds / 1_000_000_000)
                ).text)
            do throws(InstallationError) {
                try console.ready(logPath: layout.supervisorLogPath)
            } catch {
                stopAll()
                throw error
            }
            keepRunning()
            console.say("Stopping …")
            stopAll()
            console.say("Stopped.")
            _ = consume lock
        } catch {
            // A start that failed before it made anything leaves no directory behind.
            if isNew, !SystemCalls.isDirectory(layout.secretDirectory) {
                SystemCalls.removeTree(layout.directory)
            }
            throw error
        }
    }

    // MARK: Starting

    /// Looks whether both ports are free.
    ///
    /// What a killed run started ends on its own within moments, and is waited for.
    private func checkPorts() throws(InstallationError) {
        let deadline = Deadline.after(seconds: SystemCalls.isDirectory(layout.runtimeDirectory) ? 15 : 0)
        while true {
            do throws(InstallationError) {
                try ListenPort.check(options.port, option: "--port")
                try ListenPort.check(options.adminPort, option: "--admin-port")
                return
            } catch .portTaken(let port, let option) {
                if deadline.isPast { throw .portTaken(port: port, option: option) }
                try pause(milliseconds: 200)
            }
        }
    }

    private func startAll() throws(InstallationError) {
        try layout.makeDirectories()
        record = InstallationRecord.read(layout.recordPath)
        environment = EnvironmentFile(text: SystemCalls.read(layout.environmentPath) ?? "")
        let filesMax = SystemCalls.raiseOpenFilesLimit()

        let database = try startPostgres()
        try startRedis()
        try prepare(database)
        if options.hasSimulator { try startSimulator() }
        try makeDemoData()
        startJobs()
        let socketPath = try startResponders()
        try startNginx(socketPath: socketPath, filesMax: filesMax)
        try waitUntilReady()
        try writeReport()
    }

    private func startPostgres() throws(InstallationError) -> DatabaseSetup {
        try say("Starting PostgreSQL …")
        do throws(ServerError) {
            var choices = PrivatePostgres.Options()
            choices.settings = [
                "max_connections=200", "shared_buffers=128MB", "max_wal_size=2GB", "checkpoint_timeout=15min",
                "jit=off", "timezone=UTC",
            ]
            let server = try PrivatePostgres(
                directory: layout.postgresDirectory, socketDirectory: layout.runtimeDirectory + "/postgres",
                options: choices)
            parts.append(
                Part(
                    name: "postgres", process: { server.process },
                    start: { () throws(ServerError) in try server.start() }, stop: { server.stop() }))
            databaseDirectory = server.dataDirectory
            return DatabaseSetup(server: server)
        } catch {
            throw .server(error)
        }
    }

    private func startRedis() throws(InstallationError) {
        try say("Starting Redis …")
        do throws(ServerError) {
            let server = try PrivateRedis(
                directory: layout.redisDirectory, socketPath: layout.runtimeDirectory + "/redis.sock")
            parts.append(
                Part(
                    name: "redis", process: { server.process },
                    start: { () throws(ServerError) in try server.start() }, stop: { server.stop() }))
            environment["TOLLGATE_REDIS"] = server.socketPath
        } catch {
            throw .server(error)
        }
    }

    /// Makes the database, the secrets and the schema, and writes down how to reach them.
    private func prepare(_ database: DatabaseSetup) throws(InstallationError) {
        let isNewDatabase = try database.make()
        let isNewPepper = SystemCalls.read(layout.pepperPath) == nil
        if isNewPepper { try SystemCalls.write(Self.randomSecret(), to: layout.pepperPath, mode: 0o600) }
        if isNewDatabase || isNewPepper {
            // What the record and the keys speak of is gone.
            record.made = []
            environment["TOLLGATE_KEY"] = nil
            environment["TOLLGATE_ADMIN_TOKEN"] = nil
        }
        environment["TOLLGATE_DATABASE"] = database.connectionString(role: DatabaseSetup.applicationRole)
        environment["TOLLGATE_MIGRATE_DATABASE"] = database.connectionString(role: DatabaseSetup.ownerRole)
        environment["TOLLGATE_PEPPER_FILE"] = layout.pepperPath
        try WebhookSetup(layout: layout).prepare(options.webhookURL, in: &environment)
        environment["TOLLGATE_URL"] = "http://127.0.0.1:\(options.port)"
        environment["TOLLGATE_ADMIN_URL"] = "http://127.0.0.1:\(options.adminPort)"
        environment["TOLLGATE_SHARE"] = options.shareDirectory
        environment["TOLLGATE_DIR"] = layout.directory
        // What jobs find is told by tollgated, also of those that are run by hand.
        environment["TOLLGATE_RUNTIME_DIR"] = layout.metricsDirectory
        environment["TOLLGATE_MODEL"] =
            options.providers.first?.model ?? (options.hasSimulator ? DemoData.simulatedModels[0] : nil)
        try say("Migrating the database …")
        try ownCommand("migrate")
    }

    private func startSimulator() throws(InstallationError) {
        let port: UInt16
        if let known = record.simulatorPort {
            try ListenPort.check(known, option: "--no-simulator (it is the port of the simulated provider)")
            port = known
        } else {
            let taken = [options.port, options.adminPort]
            guard let free = ListenPort.firstFree(from: max(options.port, 1_024), excluding: taken) else {
                throw .notReady(reason: "there is no free port for the simulated provider", logTail: "")
            }
            port = free
        }
        record.simulatorPort = port
        try record.write(to: layout.recordPath)
        try say("Starting the simulated provider …")
        try start(
            "simulator",
            Daemon(
                [programDirectory + "/tollgate", "simulate-provider", "--port", String(port)]
                    + ["--log", layout.logDirectory + "/provider.jsonl"],
                environment: ["TOLLGATE_DIR": layout.directory], logPath: layout.logPath("simulator"),
                stopSeconds: Self.simulatorStopSeconds))
    }

    private func makeDemoData() throws(InstallationError) {
        try say("Making the tenant \(DemoData.tenant), a key and priced models …")
        try DemoData(command: ownCommand, recordPath: layout.recordPath)
            .make(options: options, record: &record, environment: &environment)
        try SystemCalls.write(environment.text, to: layout.environmentPath, mode: 0o600)
    }

    private func startJobs() {
        jobs = JobSchedule(
            JobPeriod.all, programPath: programDirectory + "/tollgate", environment: environment.values,
            logPath: layout.logPath("jobs"))
    }

    /// Starts the processes of tollgated on one socket; returns its path.
    private func startResponders() throws(InstallationError) -> String {
        try say("Starting tollgated …")
        let socketPath = layout.socketPath(run: getpid())
        let listener = try listen(socketPath)
        self.listener = listener
        var variables = environment.values
        for name in ["TOLLGATE_MIGRATE_DATABASE", "TOLLGATE_KEY", "TOLLGATE_ADMIN_TOKEN"] {
            variables[name] = nil
        }
        for number in 1...options.processes {
            try start(
                options.processes == 1 ? Self.responderName : "\(Self.responderName)-\(number)",
                Daemon(
                    [programDirectory + "/tollgated"], environment: variables,
                    logPath: layout.logPath(Self.responderName), stopSeconds: Self.responderStopSeconds,
                    listening: [listener]))
        }
        return socketPath
    }

    private func listen(_ path: String) throws(InstallationError) -> Int32 {
        let group = geteuid() == 0 ? getgrnam(NginxConfiguration.workerUser)?.pointee.gr_gid : nil
        do throws(FastCGIError) {
            return try UnixListener.open(path: path, mode: 0o660, group: group)
        } catch {
            throw .directoryUnusable(path: path, reason: "no socket can be made there: \(error)")
        }
    }

    private func startNginx(socketPath: String, filesMax: Int) throws(InstallationError) {
        try say("Starting nginx …")
        let configuration = NginxConfiguration(
            layout: layout, templateDirectory: options.shareDirectory + "/nginx", socketPath: socketPath,
            port: options.port, adminPort: options.adminPort, filesMax: filesMax)
        let path = try configuration.write(into: layout.nginxDirectory)
        // nginx makes the directories inside this one, but not this one.
        try SystemCalls.makeDirectory(layout.runtimeDirectory + "/nginx", mode: 0o755)
        do throws(ServerError) {
            let server = try PrivateNginx(
                directory: layout.nginxDirectory, configurationPath: path, port: options.port)
            let stopSeconds = NginxConfiguration.drainSeconds + 5
            parts.append(
                Part(
                    name: "nginx", process: { server.process },
                    start: { () throws(ServerError) in try server.start() },
                    stop: { server.stop(isGraceful: true, until: .after(seconds: stopSeconds)) }))
        } catch {
            throw .server(error)
        }
    }

    private func waitUntilReady() throws(InstallationError) {
        try say("Waiting until it is ready …")
        let deadline = Deadline.after(seconds: Self.readySecondsMax)
        while true {
            if let part = parts.first(where: { !$0.isRunning }) {
                let ending = part.process()?.wait(until: .now)?.words ?? "not started"
                throw .notReady(
                    reason: "\(part.name) ended (\(ending))",
                    logTail: SystemCalls.tail(of: part.process()?.logPath ?? layout.logPath(part.name)))
            }
            let (isReady, reason) = InstallationStatus.readiness(
                port: options.port, adminPort: options.adminPort)
            if isReady { return }
            if deadline.isPast {
                throw .notReady(
                    reason: "not ready after \(Self.readySecondsMax) s: \(reason ?? "")",
                    logTail: SystemCalls.tail(of: layout.logPath(Self.responderName)))
            }
            try pause(milliseconds: 100)
        }
    }

    // MARK: Running and stopping

    private func keepRunning() {
        while !signals.isEndWanted(withinMilliseconds: Self.tickMilliseconds) {
            var messages = jobs?.runDue() ?? []
            for index in parts.indices {
                if let message = parts[index].keepRunning() { messages.append(message) }
            }
            for message in messages { console.say(message) }
            if !messages.isEmpty {
                // Only `tollgate status` reads it; the installation goes on without.
                try? writeReport()
            }
        }
    }

    /// Stops what was started, last first: no new requests, then those that run, then what they need.
    private func stopAll() {
        SystemCalls.removeTree(layout.reportPath)
        var isDraining = false
        for part in parts.reversed() {
            console.say("Stopping \(part.name) …")
            if !isDraining, isResponder(part) {
                isDraining = true
                // All at once, or the last would have to wait for the others.
                for part in parts where isResponder(part) { part.process()?.send(SIGTERM) }
                jobs?.stop()
            }
            part.stop()
        }
        parts = []
        if let listener { close(listener) }
        listener = nil
        if SystemCalls.isOwnDirectory(layout.runtimeDirectory) {
            SystemCalls.removeTree(layout.runtimeDirectory)
        }
    }

    private func isResponder(_ part: Part) -> Bool { part.name.hasPrefix(Self.responderName) }

    private func writeReport() throws(InstallationError) {
        try InstallationReport(
            port: options.port, adminPort: options.adminPort,
            simulatorPort: options.hasSimulator ? record.simulatorPort : nil,
            startedAt: WallClock.unixMilliseconds / 1_000, databaseDirectory: databaseDirectory,
            parts: parts.map { part in
                .init(
                    name: part.name, pid: part.isRunning ? part.process()?.pid : nil, restarts: part.restarts)
            }
        ).write(to: layout.reportPath)
    }

    private func start(_ name: String, _ daemon: Daemon) throws(InstallationError) {
        do throws(ServerError) {
            try daemon.start()
        } catch {
            throw .server(error)
        }
        parts.append(daemon.part(name))
    }

    private var ownCommand: OwnCommand {
        OwnCommand(
            programPath: programDirectory + "/tollgate", environment: environment.values,
            outputDirectory: layout.secretDirectory)
    }

    private func say(_ text: String) throws(InstallationError) {
        console.say(text)
        try pause(milliseconds: 0)
    }

    private func pause(milliseconds: Int) throws(InstallationError) {
        if console.isAbandoned || signals.isEndWanted(withinMilliseconds: milliseconds) { throw .interrupted }
    }

    /// 256 random bits from the system's generator, in hexadecimal digits.
    private static func randomSecret() -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = (0..<32).map { _ in
            let byte = String(UInt8.random(in: .min ... .max, using: &generator), radix: 16)
            return byte.count == 1 ? "0" + byte : byte
        }
        return digits.joined() + "\n"
    }
}

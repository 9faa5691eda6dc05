import Glibc
import Threads

/// From a request to its answer.
extension SimulatedProvider {
    private static let bodyBytesMax = 64 << 20
    private static let burstBytes = 16 * 1_024
    private static let choicesMax = 128

    /// Lets a waiting call go on.
    func resume(_ serial: UInt64) {
        guard let connection = connection(serial) else { return }
        connection.call?.isWaiting = false
        serve(connection)
    }

    /// Does everything that can be done on a connection now: sends, produces, and begins pipelined requests.
    func serve(_ connection: Connection) {
        while !connection.isBroken {
            let began =
                connection.call == nil && !connection.closesAfterOutput && beginNextRequest(connection)
            produce(connection)
            connection.send()
            guard connection.isDrained && !connection.isBroken else { break }
            if let call = connection.call {
                if call.isProduced {
                    finish(connection, call)
                } else if call.isWaiting {
                    break
                }
            } else if connection.closesAfterOutput {
                return drop(connection)
            } else if !began {
                break
            }
        }
        if connection.isBroken {
            abandon(connection)
        } else {
            updateInterest(connection)
        }
    }

    /// The call is answered to its end, or as far as it was to be.
    private func finish(_ connection: Connection, _ call: Call) {
        var call = call
        if !call.isStream && call.behaviour != .garbage && call.outcome != .error {
            call.completionTokensSent = call.outcome == .cut ? call.chunksToProduce : call.completionTokens
        }
        log.append(call, outcome: call.outcome)
        connection.call = nil
        connection.closesAfterOutput = call.outcome == .cut || call.head.closesConnection
    }

    /// The client is gone.
    private func abandon(_ connection: Connection) {
        if let call = connection.call {
            log.append(call, outcome: call.behaviour == .hanging ? .hung : .cancelled, closedByClient: true)
        }
        drop(connection)
    }

    // MARK: - Requests

    /// Begins the next request in the connection's input; false when it is not complete.
    private func beginNextRequest(_ connection: Connection) -> Bool {
        guard !connection.input.isEmpty else { return false }
        let outcome = connection.input.withUnsafeBufferPointer { RequestHead.scan($0) }
        switch outcome {
        case .incomplete:
            return false
        case .malformed:
            refuse(connection, .invalidRequest("The request is not HTTP/1.1."))
        case .complete(let head) where head.isChunked:
            refuse(connection, .invalidRequest("A length is required.", status: "411 Length Required"))
        case .complete(let head) where head.bodyBytes > Self.bodyBytesMax:
            refuse(connection, .invalidRequest("The body is too large.", status: "413 Payload Too Large"))
        case .complete(let head):
            guard connection.input.count >= head.headBytes + head.bodyBytes else {
                if head.expectsContinue && !connection.sentContinue {
                    connection.sentContinue = true
                    connection.output.append("HTTP/1.1 100 Continue\r\n\r\n")
                }
                return false
            }
            begin(connection, head)
            connection.sentContinue = false
            connection.forgetInput(head.headBytes + head.bodyBytes)
        }
        return true
    }

    /// Answers something that is not followed by another request.
    private func refuse(_ connection: Connection, _ failure: Failure) {
        writer.write(failure, headers: "connection: close\r\n", to: &connection.output)
        connection.closesAfterOutput = true
    }

    private func begin(_ connection: Connection, _ head: RequestHead) {
        switch (head.method, head.path) {
        case ("POST", "/v1/chat/completions"):
            return beginCall(connection, head)
        case ("GET", "/v1/models"):
            writer.writeJSON(status: "200 OK", to: &connection.output, Self.writeModels)
        case ("GET", "/healthz"):
            writer.writeJSON(status: "200 OK", to: &connection.output) { $0.append("{\"status\":\"ok\"}") }
        case ("GET", "/_control/held"):
            let count = heldSerials.count { self.connection($0) != nil }
            writer.writeJSON(status: "200 OK", to: &connection.output) { body in
                body.append("{\"held\":")
                body.append(decimal: count)
                body.append(UInt8(ascii: "}"))
            }
        case ("POST", "/_control/release"):
            let count = releaseHeldCalls()
            writer.writeJSON(status: "200 OK", to: &connection.output) { body in
                body.append("{\"released\":")
                body.append(decimal: count)
                body.append(UInt8(ascii: "}"))
            }
        default:
            writer.write(
                .invalidRequest("Unknown request URL.", status: "404 Not Found"), to: &connection.output)
        }
        connection.closesAfterOutput = head.closesConnection
    }

    private func releaseHeldCalls() -> Int {
        let serials = heldSerials.filter { connection($0) != nil }
        heldSerials.removeAll()
        // They go on from the loop's timers, not from inside the request that releases them.
        for serial in serials { timers.insert(serial, due: .now) }
        return serials.count
    }

    private func beginCall(_ connection: Connection, _ head: RequestHead) {
        let scanned = connection.input.withUnsafeBufferPointer { input in
            ScannedRequest(
                UnsafeBufferPointer(rebasing: input[head.headBytes..<(head.headBytes + head.bodyBytes)]))
        }
        guard let request = scanned, let model = request.model else {
            writer.write(.invalidRequest("We could not parse the JSON body."), to: &connection.output)
            connection.closesAfterOutput = head.closesConnection
            return
        }
        let behaviour = Behaviour(model: String(decoding: model, as: UTF8.self))
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var call = Call(
            id: identifiers.next(), head: head, model: model, behaviour: behaviour ?? .ok, request: request,
            options: options, created: now.tv_sec)
        var failure = behaviour?.failure
        if behaviour == nil { failure = .modelNotFound }
        if request.completionTokensMax ?? 1 < 1 || !(1...Self.choicesMax).contains(request.choices) {
            failure = .invalidRequest("A number in the request is out of range.")
        }
        if let failure {
            let headers: StaticString = behaviour == .rateLimited ? "retry-after: 1\r\n" : ""
            writer.write(failure, headers: headers, to: &connection.output)
            call.isProduced = true
            call.outcome = .error
        } else if call.behaviour == .hanging {
            call.isWaiting = true
        } else if call.behaviour == .held {
            call.isWaiting = true
            heldSerials.append(connection.serial)
        } else if options.ttfbMilliseconds > 0 {
            call.isWaiting = true
            timers.insert(connection.serial, due: .after(milliseconds: options.ttfbMilliseconds))
        }
        connection.call = call
    }

    private static func writeModels(to body: inout [UInt8]) {
        body.append("{\"object\":\"list\",\"data\":[")
        for (index, behaviour) in Behaviour.allCases.enumerated() {
            if index > 0 { body.append(UInt8(ascii: ",")) }
            body.append("{\"id\":")
            body.append(json: behaviour.rawValue)
            body.append(",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"simulator\"}")
        }
        body.append("]}")
    }

    // MARK: - Answers

    /// Produces what may be sent now, as long as the client takes it.
    private func produce(_ connection: Connection) {
        guard var call = connection.call, !connection.isBroken, connection.isDrained else { return }
        // Taken out meanwhile, so that appending to the output does not copy the call.
        connection.call = nil
        while !call.isProduced && !call.isWaiting && connection.output.count < Self.burstBytes {
            if call.isStream {
                produceNextEvent(connection, &call)
            } else {
                writer.writePlain(call, to: &connection.output)
                endProduction(&call)
            }
        }
        connection.call = call
    }

    private func produceNextEvent(_ connection: Connection, _ call: inout Call) {
        if !call.hasBegun {
            call.hasBegun = true
            guard call.behaviour != .garbage else {
                writer.writeGarbageStream(call, to: &connection.output)
                return endProduction(&call)
            }
            writer.writeStreamStart(call, to: &connection.output)
        } else if call.chunksProduced < call.chunksToProduce {
            call.chunksProduced += 1
            for choice in 0..<call.choices {
                writer.writeContent(call, choice: choice, chunk: call.chunksProduced, to: &connection.output)
                connection.contentEnds.append(connection.output.count)
            }
            if call.chunkMilliseconds > 0 && call.chunksProduced < call.chunksToProduce {
                call.isWaiting = true
                timers.insert(connection.serial, due: .after(milliseconds: call.chunkMilliseconds))
            }
        } else {
            if call.behaviour != .cutting { writer.writeStreamEnd(call, to: &connection.output) }
            endProduction(&call)
        }
    }

    private func endProduction(_ call: inout Call) {
        call.isProduced = true
        switch call.behaviour {
        case .cutting: call.outcome = .cut
        case .garbage: call.outcome = .error
        default: call.outcome = .complete
        }
    }
}

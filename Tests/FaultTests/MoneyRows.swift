import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Postgres
import PrivateServers
import ProviderSimulator
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

extension FaultRows {
    /// Rows 34 to 36: races for money.
    @Suite(.serialized) struct MoneyRows {
        @Test func `row 34: who was paused while rebuilding an image cannot install it afterwards`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway(processes: 2))
            let stores = scene.gateway.stores
            let processes = try scene.gateway.processes()
            let paused = try #require(processes[0])
            let caller = try scene.makeTenant("rebuilt", balance: "1000", isLimited: false)[0]
            let tenant = caller.tenant
            let keys = QuotaKeys(tenant)
            var meanwhile: [FaultAnswer] = []
            var late: TraceID?
            let report = try scene.run("34", "the rebuilder of an image paused") { scene in
                // Whoever rebuilds waits for the tenant's epoch, which we hold.
                let owner = PostgresPool(.patient(stores.database.connectionString, "holder"))
                let lock = try owner.begin()
                _ = try lock.query(
                    Statement(
                        name: "hold_epoch",
                        sql: "SELECT epoch FROM tenant_epoch WHERE tenant_id = $1 FOR UPDATE"),
                    [.text(tenant.description)])
                _ = try scene.redis(["DEL", keys.tenant])
                let order = FaultOrder()
                let rebuilder = try Concurrently.begin(1) { _ in
                    try scene.ask(process: 0, order, caller)
                }
                #expect(try Eventually.holds { try scene.redis(["EXISTS", keys.warm]).integer == 1 })
                paused.send(SIGSTOP)
                defer { paused.send(SIGCONT) }
                try lock.commit()
                // Its lease ends after five seconds; then the other process rebuilds.
                #expect(try Eventually.holds { try scene.redis(["EXISTS", keys.warm]).integer == 0 })
                for _ in 0..<10 { meanwhile.append(scene.insist(order, caller)) }
                let before = try #require(try stores.money.quota.image(of: tenant))
                paused.send(SIGCONT)
                let answer = try rebuilder.wait()[0]
                #expect(answer.status == 200 || answer.status == 503, "\(answer)")
                late = answer.trace
                let after = try #require(try stores.money.quota.image(of: tenant))
                #expect(after.epoch == before.epoch, "the late image was installed")
                try stores.expectExactBooks(tenant)
            }
            #expect(meanwhile.count(where: \.isFinal) == 10)
            #expect(report.errors.allSatisfy { $0.trace == late }, "\(report.errors.prefix(3))")
        }

        @Test func `row 35: of many requests for the last money exactly as many are admitted as it pays for`()
            throws
        {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let stores = scene.gateway.stores
            let order = FaultOrder(model: "sim-hold")
            let price = Price(version: 0, rates: TestGateway.rates)
            let hold = try #require(
                price.upperBound(inputTokens: Int64(order.body.utf8.count), outputTokens: 64, answers: 1))
            // For seven and a half.
            let balance = Money(nanodollars: hold.nanodollars * 15 / 2)
            let caller = try scene.makeTenant("last", balance: balance.description, isLimited: true)[0]
            let tenant = caller.tenant
            let count = scene.form.clients > 50 ? 500 : 200
            var crowd: [FaultAnswer] = []
            let report = try scene.run("35", "\(count) at once for the last money") { scene in
                let decided = Locked(0)
                let requests = try Concurrently.begin(count) { _ in
                    let answer = scene.insist(order, caller)
                    decided.withLock { $0 += answer.isRefusal ? 1 : 0 }
                    return answer
                }
                let areDecided = Eventually.holds(seconds: 60) { decided.withLock { $0 } == count - 7 }
                #expect(areDecided, "\(decided.withLock { $0 }) were refused")
                let books = try stores.books(tenant)
                #expect(books.image?.balance == Money(nanodollars: hold.nanodollars / 2))
                #expect(books.ledger.pending == 7 && books.image?.holds.count == 7)
                let held = "http://127.0.0.1:\(scene.gateway.provider.port)/_control/release"
                _ = try TestHTTP.post(held, key: nil, "{}")
                crowd = try requests.wait()
            }
            #expect(crowd.count(where: \.isFinal) == 7)
            #expect(crowd.count { $0.status == 402 } == count - 7)
            report.expectErrors(only: [])
        }

        @Test func `row 36: credits, spending, a revoked key and a new price, all at once`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let gateway = scene.gateway
            let stores = gateway.stores
            let keys = try scene.makeTenant("busy", balance: "1", keys: 2, isLimited: true)
            let tenant = keys[0].tenant
            var revoked = Deadline.never
            let report = try scene.run("36", "credits, spending, key revoked, price changed") { scene in
                let ends = Deadline.after(milliseconds: scene.form.fault * 2)
                let spenders = try Concurrently.begin(8) { index in
                    var round = index
                    while !ends.isPast {
                        if scene.ask(FaultOrder.mixed(round * 2), keys[index % 2]).status == 401 {
                            usleep(50_000)
                        }
                        round += 1
                    }
                }
                // Each credit twice at the same time, under one name.
                let credits = try Concurrently.begin(2) { _ in
                    var number = 0
                    while !ends.isPast {
                        number += 1
                        let added = try gateway.command(
                            "credit", "add", "busy", "0.01", "--external-id", "top-\(number)")
                        #expect(added.status == 0 || added.status == 4, "\(added.output)")
                    }
                    return number
                }
                scene.pass(scene.form.fault / 2)
                let price = try gateway.command(
                    "price", "set", "sim-ok", "--input", "11", "--output", "37")
                #expect(price.status == 0, "\(price.output)")
                let revoking = try gateway.command("key", "revoke", keys[1].keyID)
                #expect(revoking.status == 0, "\(revoking.output)")
                revoked = .now
                _ = try spenders.wait()
                let given = try credits.wait().max() ?? 0
                let books = try stores.books(tenant)
                #expect(
                    books.ledger.credited == Money(nanodollars: 1_000_000_000 + Int64(given) * 10_000_000))
                try stores.expectExactBooks(tenant)
            }
            // A change is seen within a second.
            let late = revoked.advanced(milliseconds: 2_000)
            let after = report.answers.filter { $0.keyID == keys[1].keyID && $0.began > late }
            #expect(after.count > 3 && after.allSatisfy { $0.status == 401 })
            #expect(report.errors.allSatisfy { $0.status == 401 && $0.keyID == keys[1].keyID })
            let versions = Set(
                report.evidence.rows.filter { $0.status == "committed" }.map(\.priceVersion))
            #expect(versions.count > Set(TestGateway.models).intersection(["sim-ok"]).count, "\(versions)")
        }
    }
}

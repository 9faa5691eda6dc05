import Settlement
import Testing
import Threads

@Suite struct LeaseTrustTests {
    private func lease(seconds: Int, renewedBefore milliseconds: Int) -> OwnerLease {
        let lease = OwnerLease(seconds: seconds)
        lease.noteRenewal(sentAt: Deadline.after(milliseconds: -milliseconds))
        return lease
    }

    @Test func `a lease is trusted for three quarters of its length`() {
        #expect(lease(seconds: 60, renewedBefore: 44_000).isHeld)
        #expect(!lease(seconds: 60, renewedBefore: 45_000).isHeld)
    }

    @Test func `a lease that was renewed is trusted anew`() {
        let lease = lease(seconds: 60, renewedBefore: 100_000)
        #expect(!lease.isHeld)
        lease.noteRenewal(sentAt: .now)
        #expect(lease.isHeld)
    }

    @Test(arguments: [2, 60, 3_600])
    func `whoever looks as often as it must has stopped before the lease ends`(seconds: Int) {
        let look = OwnerLease(seconds: seconds).lookMilliseconds
        #expect(seconds * 750 + look < seconds * 1_000)
    }
}

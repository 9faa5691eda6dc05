import Glibc
import Testing
import Threads

@Suite struct DeadlineTests {
    @Test func `a deadline lies as far ahead as was asked`() {
        let start = Deadline(nanoseconds: 1_000)
        #expect(start.advanced(milliseconds: 2).nanoseconds == 2_001_000)
        #expect(start.advanced(milliseconds: 0) == start)
        #expect(Deadline(nanoseconds: 5_000_000).advanced(milliseconds: -3).nanoseconds == 2_000_000)
        let before = Deadline.now
        let inOneSecond = Deadline.after(seconds: 1)
        #expect(inOneSecond >= before.advanced(milliseconds: 1_000))
        #expect(inOneSecond <= Deadline.now.advanced(milliseconds: 1_000))
        #expect(Deadline.after(milliseconds: 1_000) >= inOneSecond)
    }

    @Test func `a timeout that is too long never ends`() {
        #expect(Deadline.after(seconds: .max) == .never)
        #expect(Deadline.after(milliseconds: .max) == .never)
        #expect(Deadline.now.advanced(milliseconds: .max / 1_000_000) == .never)
        #expect(Deadline(nanoseconds: .max - 999_999).advanced(milliseconds: 1) == .never)
    }

    @Test func `never stays never, whatever is added or taken away`() {
        for milliseconds in [0, 1, -1, .max, .min] {
            #expect(Deadline.never.advanced(milliseconds: milliseconds) == .never)
        }
        #expect(!Deadline.never.isPast)
        #expect(Deadline.never.remainingMilliseconds == .max)
    }

    @Test(arguments: [Int.min, -Int.max, -1_000_000_000_000])
    func `a length of time below zero lies in the past, however large it is`(seconds: Int) {
        for deadline in [Deadline.after(seconds: seconds), Deadline.after(milliseconds: seconds)] {
            #expect(deadline.isPast)
            #expect(deadline.remainingMilliseconds == 0)
            #expect(deadline.elapsedNanoseconds > 0)
        }
    }

    @Test func `what is left is rounded up, so that a wait never ends before its deadline`() {
        let now = Deadline.now
        let nearly = Deadline(nanoseconds: now.nanoseconds + 3_600_000_000_000)
        #expect((3_590_000...3_600_000).contains(nearly.remainingMilliseconds))
        #expect(now.remainingMilliseconds == 0)
        // A nanosecond from now is not zero milliseconds away; it may just have passed when it is asked.
        let sooner = Deadline(nanoseconds: Deadline.now.nanoseconds + 900_000)
        #expect((0...1).contains(sooner.remainingMilliseconds))
        #expect(Deadline(nanoseconds: .min).remainingMilliseconds == 0)
    }

    @Test func `a deadline is past from its moment on`() {
        #expect(Deadline.now.isPast)
        #expect(Deadline(nanoseconds: .min).isPast)
        #expect(!Deadline.after(seconds: 60).isPast)
        #expect(Deadline.after(seconds: 60).elapsedNanoseconds < 0)
    }

    @Test func `the system's form has whole seconds and a rest below one`() {
        let time = Deadline(nanoseconds: 12_345_678_901).timespecValue
        #expect(time.tv_sec == 12)
        #expect(time.tv_nsec == 345_678_901)
        let past = Deadline(nanoseconds: -1).timespecValue
        #expect(past.tv_sec >= 0 && past.tv_nsec >= 0)
    }

    @Test func `the wall clock is the system's`() {
        let seconds = Int64(time(nil))
        #expect(abs(WallClock.unixMilliseconds / 1_000 - seconds) <= 1)
    }
}

/// How much a scanner accepts before it refuses the input as abuse.
package struct JSONLimits: Sendable {
    /// Bytes of the whole input.
    package var bytesMax: Int
    /// Objects and arrays inside one another.
    package var depthMax: Int
    /// Bytes of one number.
    package var numberBytesMax: Int
    /// Members of one object.
    package var membersMax: Int
    /// Values in all; bounds the memory of a scan, which is 28 bytes a value.
    package var valuesMax: Int

    /// Creates limits; those left out are fit for request bodies.
    package init(
        bytesMax: Int = 64 * 1024 * 1024, depthMax: Int = 128, numberBytesMax: Int = 128,
        membersMax: Int = 10_000, valuesMax: Int = 1_000_000
    ) {
        // Offsets and indices are kept in 32 bits.
        precondition(bytesMax < Int(UInt32.max) && valuesMax < Int(UInt32.max))
        precondition(depthMax > 0 && numberBytesMax > 0 && membersMax > 0 && valuesMax > 0)
        self.bytesMax = bytesMax
        self.depthMax = depthMax
        self.numberBytesMax = numberBytesMax
        self.membersMax = membersMax
        self.valuesMax = valuesMax
    }
}

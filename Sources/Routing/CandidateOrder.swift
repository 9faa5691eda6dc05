package import Core

/// Orders the provider models that may serve a request: by priority, and at random by weight among equals.
package enum CandidateOrder {
    /// The candidates in the order in which they are to be tried.
    ///
    /// - Parameter generator: Where the chance comes from; a seeded one makes the order repeatable.
    package static func candidates(
        _ models: [ProviderModel], using generator: inout some RandomNumberGenerator
    ) -> [ProviderModel] {
        guard models.count > 1 else { return models }
        var ordered: [ProviderModel] = []
        ordered.reserveCapacity(models.count)
        for priority in Set(models.map(\.priority)).sorted() {
            var equals = models.filter { $0.priority == priority }
            while !equals.isEmpty {
                var ticket = Int64.random(
                    in: 0..<equals.reduce(0) { $0 + Int64($1.weight) }, using: &generator)
                let index = equals.firstIndex { model in
                    ticket -= Int64(model.weight)
                    return ticket < 0
                }
                ordered.append(equals.remove(at: index ?? 0))
            }
        }
        return ordered
    }
}

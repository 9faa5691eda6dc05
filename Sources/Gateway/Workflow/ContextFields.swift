package import Core

/// A value in the string view of the context.
package enum ContextValue: Sendable, Hashable, CustomStringConvertible {
    case text(String)
    case integer(Int64)
    case money(Money)
    case flag(Bool)
    case list([String])
    /// A field that has no value for this request.
    case none

    package var description: String {
        switch self {
        case .text(let text): text
        case .integer(let number): "\(number)"
        case .money(let money): "\(money)"
        case .flag(let flag): "\(flag)"
        case .list(let list): list.joined(separator: ",")
        case .none: ""
        }
    }
}

/// A type that fields of the context may have.
package protocol ContextRepresentable: Sendable {
    /// The value as the string view shows it.
    var contextValue: ContextValue { get }

    /// The value from the string view; nil when it is of another type.
    init?(contextValue: ContextValue)
}

extension String: ContextRepresentable {
    package var contextValue: ContextValue { .text(self) }
    package init?(contextValue: ContextValue) {
        guard case .text(let text) = contextValue else { return nil }
        self = text
    }
}

extension Int64: ContextRepresentable {
    package var contextValue: ContextValue { .integer(self) }
    package init?(contextValue: ContextValue) {
        guard case .integer(let number) = contextValue else { return nil }
        self = number
    }
}

extension Bool: ContextRepresentable {
    package var contextValue: ContextValue { .flag(self) }
    package init?(contextValue: ContextValue) {
        guard case .flag(let flag) = contextValue else { return nil }
        self = flag
    }
}

extension Money: ContextRepresentable {
    package var contextValue: ContextValue { .money(self) }
    package init?(contextValue: ContextValue) {
        guard case .money(let money) = contextValue else { return nil }
        self = money
    }
}

extension [String]: ContextRepresentable {
    package var contextValue: ContextValue { .list(self) }
    package init?(contextValue: ContextValue) {
        guard case .list(let list) = contextValue else { return nil }
        self = list
    }
}

extension Optional: ContextRepresentable where Wrapped: ContextRepresentable {
    package var contextValue: ContextValue { self?.contextValue ?? .none }
    package init?(contextValue: ContextValue) {
        if contextValue == .none {
            self = Wrapped?.none
        } else if let wrapped = Wrapped(contextValue: contextValue) {
            self = .some(wrapped)
        } else {
            return nil
        }
    }
}

/// One field of a section, under the name the string view has for it.
///
/// It reads and writes the section itself: there is no copy.
package struct ContextField<Section>: Sendable {
    let name: String
    let read: @Sendable (Section) -> ContextValue
    /// Nil for fields that are derived; false when the value is of another type.
    let write: (@Sendable (inout Section, ContextValue) -> Bool)?

    /// A field that may be read and set.
    init<Value: ContextRepresentable>(_ name: String, _ path: any WritableKeyPath<Section, Value> & Sendable)
    {
        self.name = name
        read = { $0[keyPath: path].contextValue }
        write = { section, value in
            guard let value = Value(contextValue: value) else { return false }
            section[keyPath: path] = value
            return true
        }
    }

    /// A field that is derived from others and may only be read.
    init(derived name: String, _ read: @escaping @Sendable (Section) -> ContextValue) {
        self.name = name
        self.read = read
        write = nil
    }
}

/// What one step leaves in the context for those that depend on it.
package protocol ContextSection: Sendable {
    /// The step's name in the string view.
    static var namespace: StepName { get }

    /// The fields that the string view shows.
    static var fields: [ContextField<Self>] { get }
}

/// Why the string view refuses.
package enum ContextError: Error, Equatable {
    case unknownNamespace(String)
    case unknownKey(String, String)
    /// The section's step has not run.
    case notFilled(String)
    /// The value is of another type than the field.
    case wrongType(String, String)
    /// The field is derived from others.
    case readOnly(String, String)
}

/// One section as the string view reaches it.
package struct ContextNamespace: Sendable {
    let name: String
    let keys: [String]
    let get: @Sendable (ContextSections, String) throws(ContextError) -> ContextValue
    let set: @Sendable (inout ContextSections, String, ContextValue) throws(ContextError) -> Void

    init<Section: ContextSection>(_ path: any WritableKeyPath<ContextSections, Section?> & Sendable) {
        let namespace = Section.namespace.description
        name = namespace
        keys = Section.fields.map(\.name)
        let fields = Dictionary(Section.fields.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        get = { (sections, key) throws(ContextError) in
            guard let field = fields[key] else { throw .unknownKey(namespace, key) }
            guard let section = sections[keyPath: path] else { throw .notFilled(namespace) }
            return field.read(section)
        }
        set = { (sections, key, value) throws(ContextError) in
            guard let field = fields[key] else { throw .unknownKey(namespace, key) }
            guard var section = sections[keyPath: path] else { throw .notFilled(namespace) }
            guard let write = field.write else { throw .readOnly(namespace, key) }
            guard write(&section, value) else { throw .wrongType(namespace, key) }
            sections[keyPath: path] = section
        }
    }
}

import Testing

/// The checks are only as good as what they read with.
@Suite struct SwiftSourceTests {
    private func code(_ text: String) -> [String] { SwiftSource(path: "a.swift", text: text).code }

    @Test func `comments and what stands between quotes become blanks, and code stays in its column`() {
        #expect(code("let a = 1 // try! b") == ["let a = 1          "])
        #expect(code("a /* b /* c */ d */ e") == ["a                   e"])
        #expect(code(#"f("try! \"x\"") + g"#) == ["f(            ) + g"])
        #expect(code(##"f(#"a " \(b)"#) + g"##) == ["f(            ) + g"])
        #expect(code("a\n/*\nb!\n*/\nc") == ["a", "  ", "  ", "  ", "c"])
        #expect(code("func `it's a \"test\"`() {}") == ["func `             `() {}"])
    }

    @Test func `an interpolation is code`() {
        #expect(code(#"x = "a \(b! + f("c")) d""#) == [#"x =      b! + f(   )    "#])
        #expect(code(##"x = #"a \#(b!) \(c!)"#"##) == [##"x =        b!         "##])
    }

    @Test func `a text of several lines is one literal`() {
        let source = SwiftSource(
            path: "a.swift", text: "let a = \"\"\"\n    SELECT \"x\"\n    \"\"\"\nlet b = \"c\"")
        #expect(source.literals.map(\.text) == ["\n    SELECT \"x\"\n    ", "c"])
        #expect(source.literals.map(\.line) == [0, 3])
        #expect(source.code.last?.hasPrefix("let b = ") == true)
    }

    @Test func `imports are found whatever stands before them`() {
        let source = SwiftSource(
            path: "a.swift",
            text: "import A\npackage import B\n@testable import C\n// import D\nlet import2 = 1")
        #expect(source.imports == ["A", "B", "C"])
    }

    @Test func `bodies of functions are found, and declarations without one are not`() {
        let source = SwiftSource(
            path: "a.swift",
            text: """
                protocol P {
                    func a()
                    func b() -> Int
                }
                struct S {
                    init(x: () -> Void = { print(1) }) {
                        self.init()
                    }
                    func c() throws(E)
                        -> Int
                    {
                        if true {
                        }
                    }
                    deinit { f() }
                }
                """)
        let functions = source.functions
        #expect(functions.map(\.name) == ["init", "c", "deinit"])
        #expect(functions.map(\.lineCount) == [3, 6, 1])
    }
}

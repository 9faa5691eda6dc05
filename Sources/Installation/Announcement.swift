/// What a person reads when the installation is ready: where it is and how to call it.
struct Announcement {
    let layout: InstallationLayout
    let environment: EnvironmentFile
    let shareDirectory: String
    let databaseDirectory: String
    let seconds: Int

    var text: String {
        let url = (environment["TOLLGATE_URL"] ?? "") + "/v1"
        let key = environment["TOLLGATE_KEY"] ?? ""
        let model = environment["TOLLGATE_MODEL"] ?? "MODEL"
        return """

            Tollgate is ready, after \(seconds) s.

              Address    \(url)
              API key    \(key)
              Admin      \(environment["TOLLGATE_ADMIN_URL"] ?? "") (this machine only; the token is in the file env)
              Directory  \(layout.directory) (data, logs, secrets; `. \(shellWord(layout.environmentPath))` sets up a shell)\(elsewhere)

            Call it:

              curl \(url)/chat/completions \\
                -H "Authorization: Bearer \(key)" -H "Content-Type: application/json" \\
                -d '{"model": "\(model)", "messages": [{"role": "user", "content": "Hello!"}]}'

            or with the OpenAI SDK for Python:

              from openai import OpenAI
              client = OpenAI(base_url="\(url)", api_key="\(key)")
              for chunk in client.chat.completions.create(
                  model="\(model)", messages=[{"role": "user", "content": "Hello!"}], stream=True
              ):
                  if chunk.choices:
                      print(chunk.choices[0].delta.content or "", end="", flush=True)

            and see what it cost:

              \(command) tenant show \(DemoData.tenant)

            Ctrl-C, or `\(command) down`, stops it; the data stays.
            """
    }

    /// Where PostgreSQL keeps its data, when its user cannot reach the directory.
    private var elsewhere: String {
        databaseDirectory.hasPrefix(layout.directory + "/") ? "" : "\n  Database   \(databaseDirectory)"
    }

    /// How the person calls our program: through the wrapper in a checkout, and with the directory if it is not the usual one.
    private var command: String {
        let isCheckout = SystemCalls.read(shareDirectory + "/Package.swift", lastBytes: 1) != nil
        let program = isCheckout ? "./tollgate" : "tollgate"
        let isUsual = layout.directory == InstallationLayout.absolute(shareDirectory + "/.tollgate")
        return isUsual ? program : "TOLLGATE_DIR=\(shellWord(layout.directory)) \(program)"
    }

    private func shellWord(_ text: String) -> String {
        let isPlain = text.allSatisfy { $0.isLetter || $0.isNumber || "/._-".contains($0) }
        return isPlain ? text : EnvironmentFile.quoted(text)
    }
}

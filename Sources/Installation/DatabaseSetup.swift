import PrivateServers

/// Makes the roles and the database of an installation in its own PostgreSQL.
struct DatabaseSetup {
    static let name = "tollgate"
    /// Owns the schema; used by `tollgate migrate` alone.
    static let ownerRole = "tollgate_owner"
    /// What responder, commands and jobs connect as; owns nothing.
    static let applicationRole = "tollgate_app"

    let server: PrivatePostgres

    /// Makes what is missing; returns whether the database is new.
    func make() throws(InstallationError) -> Bool {
        do throws(ServerError) {
            for role in [Self.ownerRole, Self.applicationRole] where try !exists("pg_roles", "rolname", role)
            {
                _ = try server.run(sql: "CREATE ROLE \(role) LOGIN")
            }
            guard try !exists("pg_database", "datname", Self.name) else { return false }
            _ = try server.run(sql: "CREATE DATABASE \(Self.name) OWNER \(Self.ownerRole)")
            _ = try server.run(
                sql: "REVOKE ALL ON DATABASE \(Self.name) FROM PUBLIC; "
                    + "GRANT CONNECT ON DATABASE \(Self.name) TO \(Self.applicationRole)")
            return true
        } catch {
            throw .server(error)
        }
    }

    /// The libpq connection string for a role.
    func connectionString(role: String) -> String {
        let host = server.socketDirectory.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
        return "host='\(host)' port=5432 user=\(role) dbname=\(Self.name)"
    }

    private func exists(_ catalog: String, _ column: String, _ name: String) throws(ServerError) -> Bool {
        try !server.run(sql: "SELECT 1 FROM \(catalog) WHERE \(column) = '\(name)'").isEmpty
    }
}

import CoreMetrics

/// The workflow of each endpoint: the table of contents of the product.
package enum Workflows {
    /// `POST /v1/chat/completions`, plain and streamed.
    package static func chatCompletions(_ services: Services) throws(StepOrderError) -> Workflow {
        let configuration = services.configuration
        return try Workflow(
            [
                Validation(bodyBytesMax: configuration.bodyBytesMax),
                ExternalAuth(keys: services.keys),
                Idempotency(claims: services.claims, route: "POST /v1/chat/completions\n"),
                RoutingStep(catalog: services.catalog, candidatesMax: configuration.candidatesMax),
                QuotaCheck(
                    settlement: services.settlement, claims: services.claims, lease: services.lease,
                    timeZones: services.timeZones,
                    policy: configuration.holds),
                TemplateRender(),
                UpstreamCall(
                    client: services.httpClient, timeouts: configuration.upstreamTimeouts,
                    keepAliveMilliseconds: configuration.keepAliveSeconds * 1_000,
                    crashPoints: services.crashPoints),
                ResponseTransform(
                    settlement: services.settlement, lease: services.lease, checkpoints: services.checkpoints,
                    answerBytesMax: configuration.answerBytesMax, keptBytesMax: configuration.keptBytesMax,
                    keepAliveMilliseconds: configuration.keepAliveSeconds * 1_000),
                Billing(settlement: services.settlement),
            ],
            last: Audit(logger: services.logger, metrics: services.metrics), metrics: services.metrics)
    }
}

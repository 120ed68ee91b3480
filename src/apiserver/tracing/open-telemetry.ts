/** Spans by OpenTelemetry's own packages, sent by OTLP over gRPC. The only file that loads them. */
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Context, type Span as OtelSpan, type SpanContext, type SpanOptions, type Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Span, SpanAttributes } from '#base/tracing.ts';
import type { TracingConfiguration } from './configuration.ts';
import { mayDecide, requestSpanName, type TracedRequest, type Tracing } from './tracing.ts';

const CLOSE_MS = 3_000;

class TracedSpan implements Span {
  readonly #tracer: Tracer;
  readonly #span: OtelSpan;
  readonly #kind: SpanKind;
  constructor(tracer: Tracer, span: OtelSpan, kind: SpanKind) {
    this.#tracer = tracer;
    this.#span = span;
    this.#kind = kind;
  }
  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }
  setAttributes(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes);
  }
  child(name: string, attributes: SpanAttributes): Span {
    const kind = name.startsWith('HTTP ') ? SpanKind.CLIENT : SpanKind.INTERNAL;
    return new TracedSpan(this.#tracer, this.#tracer.startSpan(name, { kind, attributes }, trace.setSpan(ROOT_CONTEXT, this.#span)), kind);
  }
  end(error?: unknown): void {
    if (error !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR, ...(this.#kind === SpanKind.SERVER ? {} : { message: error instanceof Error ? error.message : String(error) }) });
    this.#span.end();
  }
}

export function startOpenTelemetry({ endpoint, samplingRatePerMillion }: TracingConfiguration, instanceId: string): Tracing {
  const exporter = new OTLPTraceExporter({ url: /^[a-z-]+:\/\//.test(endpoint) ? endpoint : `http://${endpoint}` });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'apiserver', 'service.instance.id': instanceId }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(samplingRatePerMillion / 1e6) }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer('podyard/apiserver');
  return {
    request(request) {
      const [parent, options] = placeOf(request);
      return new TracedSpan(tracer, tracer.startSpan(requestSpanName(request.method, request.info), options, parent), SpanKind.SERVER);
    },
    close: async () => {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, CLOSE_MS);
      await Promise.race([provider.shutdown().catch(() => {}), late.promise]);
      clearTimeout(timer);
    },
  };
}
/** Below the client's span where the client may decide, else a trace of its own with a link to it. */
function placeOf({ method, info, user, auditId, userAgent, receivedAt, traceparent }: TracedRequest): [Context, SpanOptions] {
  const remote = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  const trusted = remote && mayDecide(user);
  const attributes: Record<string, string> = { 'audit-id': auditId, 'http.request.method': method, 'url.path': info.path, ...(userAgent ? { 'user_agent.original': userAgent } : {}) };
  const options: SpanOptions = { kind: SpanKind.SERVER, startTime: receivedAt, attributes, ...(remote && !trusted ? { links: [{ context: remote }] } : {}) };
  return [trusted ? trace.setSpanContext(context.active(), remote) : ROOT_CONTEXT, options];
}
/** W3C Trace Context, version 00 and what follows it. */
function parseTraceparent(header: string): SpanContext | undefined {
  const [, version, traceId = '', spanId = '', flags = ''] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/.exec(header) ?? [];
  if (version === undefined || version === 'ff' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
}

/**
 * Spans of what the process does, where somebody traces it. Without a tracer nothing is made: {@link activeSpan} is undefined and
 * {@link withSpan} is the call itself. Who makes spans is plugged in (`apiserver/tracing`).
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;
export interface Span {
  /** W3C Trace Context: `00-TRACE-SPAN-01`. */
  readonly traceparent: string;
  setAttributes(attributes: SpanAttributes): void;
  child(name: string, attributes: SpanAttributes): Span;
  /** `error`: what was thrown. */
  end(error?: unknown): void;
}

const active = new AsyncLocalStorage<Span>();

/** The span of the call under way. */
export function activeSpan(): Span | undefined {
  return active.getStore();
}
/** Runs with `span` active; does not end it. */
export function inSpan<T>(span: Span, run: () => T): T {
  return active.run(span, run);
}
/** Runs in a child of the active span, where there is one, and ends it. */
export function withSpan<T>(name: string, attributes: SpanAttributes, run: () => Promise<T>): Promise<T> {
  const parent = activeSpan();
  return parent ? inChild(parent.child(name, attributes), run) : run();
}
async function inChild<T>(span: Span, run: () => Promise<T>): Promise<T> {
  try {
    const result = await active.run(span, run);
    span.end();
    return result;
  } catch (err) {
    span.end(err);
    throw err;
  }
}

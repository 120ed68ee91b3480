/** What ends a cluster's process: SIGINT and SIGTERM stop it and leave its Pods; SIGPWR, as at a power failure, stops the Pods first. */
export function endingSignals(): { readonly stop: AbortSignal; readonly powerDown: AbortSignal } {
  const [stop, powerDown] = [new AbortController(), new AbortController()];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(new Error(`${signal} received`)));
  process.once('SIGPWR', () => powerDown.abort(new Error('SIGPWR received')));
  return { stop: stop.signal, powerDown: powerDown.signal };
}

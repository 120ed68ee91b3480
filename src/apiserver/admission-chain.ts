/** Runs the admission plugins in order, first those that change, later those that only look: upstream's `chainAdmissionHandler`. */
import { isPromise } from './maybe-promise.ts';
import type { AdmissionAttributes, AdmissionOperation, AdmissionPlugin, MaybePromise, MutableAdmissionAttributes } from './interfaces.ts';

export interface AdmissionChain {
  handles(operation: AdmissionOperation): boolean;
  admit(attributes: MutableAdmissionAttributes, signal: AbortSignal): MaybePromise<void>;
  validate(attributes: AdmissionAttributes, signal: AbortSignal): MaybePromise<void>;
}

export function admissionChain(plugins: readonly AdmissionPlugin[]): AdmissionChain {
  const by = new Map<AdmissionOperation, readonly AdmissionPlugin[]>();
  for (const operation of ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] as const) by.set(operation, plugins.filter((p) => p.handles(operation)));
  return {
    handles: (operation) => by.get(operation)!.length > 0,
    admit: (attributes, signal) => each(by.get(attributes.operation)!, (p) => p.admit?.(attributes, signal)),
    validate: (attributes, signal) => each(by.get(attributes.operation)!, (p) => p.validate?.(attributes, signal)),
  };
}

/** One after another; a promise is made only from the first plugin on that answers with one. */
function each(plugins: readonly AdmissionPlugin[], run: (plugin: AdmissionPlugin) => MaybePromise<void>, from = 0): MaybePromise<void> {
  for (let i = from; i < plugins.length; i++) {
    const outcome = run(plugins[i]!);
    if (isPromise(outcome)) return outcome.then(() => each(plugins, run, i + 1));
  }
}

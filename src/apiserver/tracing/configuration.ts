/** `TracingConfiguration` of `apiserver.config.k8s.io/v1`. Source: the Kubernetes page "Traces For Kubernetes System Components"; messages are upstream's. */
import { fieldPath, invalidValue, toAggregate, type FieldError } from '#machinery/field-errors.ts';
import { readConfigurationObject } from '../configuration/object-reader.ts';

export interface TracingConfiguration {
  /** Of the collector, for gRPC without TLS: `localhost:4317`. */
  readonly endpoint: string;
  /** Of the requests that no trusted client has decided about. */
  readonly samplingRatePerMillion: number;
}

const VERSIONS = ['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1'];
const DEFAULT_ENDPOINT = 'localhost:4317';
const SCHEMES = ['dns', 'unix', 'unix-abstract'];

/** Throws an Error that names the fields. */
export function parseTracingConfiguration(text: string): TracingConfiguration {
  const errors: FieldError[] = [];
  const file = readConfigurationObject(text, 'TracingConfiguration', VERSIONS, errors);
  const endpoint = file.string('endpoint') ?? DEFAULT_ENDPOINT;
  const rate = file.integer('samplingRatePerMillion') ?? 0;
  file.close();
  if (rate < 0) errors.push(invalidValue(fieldPath('samplingRatePerMillion'), rate, 'sampling rate must be positive'));
  if (rate > 1_000_000) errors.push(invalidValue(fieldPath('samplingRatePerMillion'), rate, 'sampling rate per million must be less than or equal to one million'));
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(endpoint)?.[1];
  if (endpoint === '') errors.push(invalidValue(fieldPath('endpoint'), endpoint, 'must not be empty'));
  else if (scheme !== undefined && !SCHEMES.includes(scheme)) errors.push(invalidValue(fieldPath('endpoint'), endpoint, `unsupported scheme: ${scheme}.  Options are none, dns, unix, or unix-abstract`));
  if (errors.length > 0) throw new Error(toAggregate(errors));
  return { endpoint, samplingRatePerMillion: rate };
}

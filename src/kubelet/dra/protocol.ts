/** The protocol of DRA drivers' plugins (`DRAPlugin`) as a table of facts and its codecs. Source: KEP-4381, "gRPC API". */
import { codecsOf, factsBeside, type CriFacts } from '#cri/schema.ts';
import type { Messages } from './types.ts';

const facts = factsBeside(import.meta.url);
export const draCodec = codecsOf<Messages>(facts);

/** Services by the name under which plugins announce them, the newest first. Their messages are the same. */
const PACKAGES: Readonly<Record<string, string>> = { 'v1.DRAPlugin': 'k8s.io.kubelet.pkg.apis.dra.v1', 'v1beta1.DRAPlugin': 'k8s.io.kubelet.pkg.apis.dra.v1beta1' };
export const SERVICES: readonly string[] = Object.keys(PACKAGES);
/** The table of a service of {@link SERVICES}. */
export function draFacts(service: string): CriFacts {
  return { ...facts(), package: PACKAGES[service]! };
}

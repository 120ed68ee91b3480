/** The protocol by which DRA drivers tell how their devices are (`DRAResourceHealth`) as a table of facts and its codecs. Source: KEP-4680. */
import { codecsOf, factsBeside } from '#cri/schema.ts';
import type { Messages } from './types.ts';

export const healthFacts = factsBeside(import.meta.url);
export const healthCodec = codecsOf<Messages>(healthFacts);

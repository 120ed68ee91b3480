/** The node's side of the CSI protocol (`csi.v1`) as a table of facts and its codecs. Source: the Container Storage Interface specification. */
import { codecsOf, factsBeside } from '#cri/schema.ts';
import type { Messages } from './types.ts';

export const csiFacts = factsBeside(import.meta.url);
export const csiCodec = codecsOf<Messages>(csiFacts);

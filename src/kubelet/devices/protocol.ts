/**
 * The device plugin protocol (`v1beta1`) as a table of facts and its codecs.
 * Source: concepts/extend-kubernetes/compute-storage-net/device-plugins and its API reference.
 */
import { codecsOf, factsBeside } from '#cri/schema.ts';
import type { Messages } from './types.ts';

export const API_VERSION = 'v1beta1';
/** The health of a device that works; everything else means that it does not. */
export const HEALTHY = 'Healthy';
export const deviceFacts = factsBeside(import.meta.url);
export const deviceCodec = codecsOf<Messages>(deviceFacts);

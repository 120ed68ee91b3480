/**
 * Texts for `kubectl explain`, read at run time from the official JavaScript client where that is installed: its type declarations carry
 * upstream's descriptions as comments. Without it the documents have no texts.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { StructType } from '#api/schema.ts';
import type { Describe } from './definitions.ts';

const COMMENT = /\/\*\*((?:(?!\*\/)[^])*?)\*\/\s*(?:export declare class \w+|'([^']+)'\??:)/g;

/**
 * The client's generator writes two blanks where a paragraph ends. Some authors write as many after each sentence: where a text has no
 * sentence that ends with one blank, its two are taken for those.
 */
function withParagraphs(text: string): string {
  return /[.)] (?=[A-Z])/.test(text) ? text.replaceAll(/([.:)`"])  (?=[A-Z`"-])/g, '$1\n\n') : text;
}
function clean(comment: string): string {
  const text = comment.split('\n').map((line) => line.replace(/^\s*\*\s?/, '').trimEnd()).join('\n').trim();
  return withParagraphs(text.replaceAll(/\\(['"`])/g, '$1').replaceAll('*_/', '*/').replaceAll('/_*', '/*'));
}
/** A property as the client's generator renames it, back to JSON's name. */
function jsonName(property: string): string {
  if (property.startsWith('x_kubernetes_')) return property.replaceAll('_', '-');
  return property.replace(/^_/, '');
}

const upperFirst = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** Names of the class that the client may have for a type: `V1Pod`, `CoreV1Event`. */
function classNames(type: StructType): string[] {
  const parts = type.factsName.slice(0, type.factsName.lastIndexOf('.')).split('/');
  const version = upperFirst(parts.at(-1)!);
  return [`${version}${type.goName}`, `${upperFirst(parts.at(-2)!)}${version}${type.goName}`];
}

function parseDeclarations(text: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const [, comment = '', property] of text.matchAll(COMMENT)) out.set(property === undefined ? '' : jsonName(property), clean(comment));
  return out;
}

/** Descriptions from the installed client; undefined where it is not installed. */
export function clientDescriptions(): Describe | undefined {
  const models = modelsFolder();
  if (models === undefined) return undefined;
  const known = new Map<string, ReadonlyMap<string, string>>();
  const textsOf = (type: StructType): ReadonlyMap<string, string> => {
    let texts = known.get(type.factsName);
    if (!texts) {
      const file = classNames(type).map((name) => new URL(`${name}.d.ts`, models)).find((url) => existsSync(url));
      texts = file ? parseDeclarations(readFileSync(file, 'utf8')) : new Map<string, string>();
      known.set(type.factsName, texts);
    }
    return texts;
  };
  return (type, field = '') => textsOf(type).get(field);
}

function modelsFolder(): URL | undefined {
  try {
    const folder = new URL('./gen/models/', import.meta.resolve('@kubernetes/client-node'));
    return existsSync(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}

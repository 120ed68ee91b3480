/** `kubernetes.NamedFormat`: Kubernetes' own text formats, `format.dns1123Label().validate("x")`. */
import { isDNS1035Label, isDNS1123Label, isDNS1123Subdomain, isQualifiedName, isValidLabelValue, nameIsDNS1035Label, nameIsDNSLabel, nameIsDNSSubdomain } from '#machinery/names.ts';
import { declare, member, plain, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { opaque, type CelType } from '../types.ts';
import { ArrayList, OpaqueValue, OptionalValue, sizeOf } from '../values.ts';
import { parseRequestUri } from './url.ts';

export const FORMAT_TYPE = opaque('kubernetes.NamedFormat');

type Validate = (text: string) => readonly string[];
class FormatValue extends OpaqueValue {
  readonly name: string;
  readonly validate: Validate;
  constructor(name: string, validate: Validate) {
    super();
    this.name = name;
    this.validate = validate;
  }
  get type(): CelType {
    return FORMAT_TYPE;
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof FormatValue && other.name === this.name;
  }
}
const pattern = (regex: RegExp, message: string): Validate => (text) => (regex.test(text) ? [] : [message]);
function uri(text: string): readonly string[] {
  try {
    parseRequestUri(text);
    return [];
  } catch (err) {
    return [(err as Error).message];
  }
}
const isDate = (text: string): boolean => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && new Date(text).toISOString().startsWith(text);
const DATETIME = /^\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([zZ]|[+-]\d\d:\d\d)$/;
const FORMATS: Readonly<Record<string, Validate>> = {
  dns1123Label: isDNS1123Label,
  dns1123Subdomain: isDNS1123Subdomain,
  dns1035Label: isDNS1035Label,
  qualifiedName: isQualifiedName,
  dns1123LabelPrefix: (text) => nameIsDNSLabel(text, true),
  dns1123SubdomainPrefix: (text) => nameIsDNSSubdomain(text, true),
  dns1035LabelPrefix: (text) => nameIsDNS1035Label(text, true),
  labelValue: isValidLabelValue,
  uri,
  uuid: pattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i, 'does not match the UUID format'),
  byte: pattern(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/, 'invalid base64'),
  date: (text) => (isDate(text) ? [] : ['invalid date']),
  datetime: (text) => (DATETIME.test(text) && isDate(text.slice(0, 10)) ? [] : ['invalid datetime']),
};
const VALUES = new Map(Object.entries(FORMATS).map(([name, validate]) => [name, new FormatValue(name, validate)]));
/** Upstream's estimate of the longest pattern behind a format. */
const PATTERN_LENGTH = 1103;

const named: Implementation = (_f, name) => new OptionalValue(VALUES.get(name as string));
const validate: Implementation = (_f, format, text) => {
  const messages = (format as FormatValue).validate(text as string);
  return messages.length ? new OptionalValue(new ArrayList([...messages])) : OptionalValue.NONE;
};
export const NAMED_FORMATS: readonly FunctionDeclaration[] = [
  declare('format.named', plain('format-named', 'string -> optional_type<kubernetes.NamedFormat>', named)),
  ...[...VALUES].map(([name, value]) => declare(`format.${name}`, plain(`format.${name}`, ' -> kubernetes.NamedFormat', () => value))),
  declare('validate', member('format-validate', 'kubernetes.NamedFormat, string -> optional_type<list<string>>', validate, (_a, text) => Math.ceil((1 + sizeOf(text)) * 0.1) * Math.ceil(PATTERN_LENGTH * 0.25))),
];

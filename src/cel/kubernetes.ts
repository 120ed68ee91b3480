/** The environment of every expression in Kubernetes 1.36. Source: the Kubernetes page "Common Expression Language in Kubernetes". */
import { Environment, type Library } from './environment.ts';
import { AUTHORIZER, AUTHORIZER_TYPE, DECISION_TYPE, GROUP_CHECK_TYPE, PATH_CHECK_TYPE, RESOURCE_CHECK_TYPE } from './library/authorizer.ts';
import { CONVERSIONS } from './library/conversions.ts';
import { JSON_PATCH_FUNCTIONS, mutationStructs } from './library/json-patch.ts';
import { LISTS, SETS } from './library/lists.ts';
import { FORMAT_TYPE, NAMED_FORMATS } from './library/named-format.ts';
import { CIDR_TYPE, IP_TYPE, NETWORK } from './library/network.ts';
import { OPERATORS } from './library/operators.ts';
import { OPTIONALS } from './library/optionals.ts';
import { QUANTITIES, QUANTITY_TYPE } from './library/quantity.ts';
import { REGEX } from './library/regex.ts';
import { SEMVER, SEMVER_TYPE } from './library/semver.ts';
import { STRINGS } from './library/strings.ts';
import { URL_TYPE, URLS } from './library/url.ts';
import { BINDING_MACROS, LIST_MACROS, OPTIONAL_MACROS, STANDARD_MACROS, TWO_VARIABLE_MACROS } from './macros.ts';

const STANDARD: Library = { functions: [...OPERATORS, ...CONVERSIONS, ...STRINGS, ...REGEX], macros: STANDARD_MACROS };
const KUBERNETES: Library = {
  functions: [...LISTS, ...SETS, ...OPTIONALS, ...URLS, ...QUANTITIES, ...NETWORK, ...NAMED_FORMATS, ...SEMVER, ...AUTHORIZER],
  macros: [...TWO_VARIABLE_MACROS, ...OPTIONAL_MACROS, ...LIST_MACROS],
  types: [URL_TYPE, QUANTITY_TYPE, IP_TYPE, CIDR_TYPE, FORMAT_TYPE, SEMVER_TYPE, AUTHORIZER_TYPE, PATH_CHECK_TYPE, GROUP_CHECK_TYPE, RESOURCE_CHECK_TYPE, DECISION_TYPE],
};
/** `cel.bind(name, value, expression)`: upstream's API server does not have it, so it is not part of {@link kubernetesEnvironment}. */
export const BINDINGS: Library = { macros: BINDING_MACROS };
/** What mutations may construct. */
export const MUTATIONS: Library = { functions: JSON_PATCH_FUNCTIONS, structs: mutationStructs };

export function kubernetesEnvironment(...more: readonly Library[]): Environment {
  return new Environment({ libraries: [STANDARD, KUBERNETES, ...more], homogeneousLiterals: true });
}

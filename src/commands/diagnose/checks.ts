import { CATEGORIES, type Category, type Check } from './check.ts';
import { CONNECTION_CHECKS } from './connections.ts';
import { DEPLOYMENT_CHECKS } from './deployment.ts';
import { GATEWAY_CHECKS } from './gateway.ts';
import { K8S_CHECKS } from './k8s.ts';
import { MTU_CHECKS } from './mtu.ts';

/** Every check there is. */
export const CHECKS: readonly Check[] = [
  ...K8S_CHECKS,
  ...DEPLOYMENT_CHECKS,
  ...GATEWAY_CHECKS,
  ...CONNECTION_CHECKS,
  ...MTU_CHECKS,
];

/** The checks of one category, or of all, in the order of the categories. */
export function checksOf(category: Category | 'all'): readonly Check[] {
  const wanted = CATEGORIES.filter((name) => category === 'all' || name === category);
  return wanted.flatMap((name) => CHECKS.filter((check) => check.category === name));
}

import { BROKER_CHECKS } from './broker.ts';
import { CATEGORIES, type Category, type Check } from './check.ts';
import { CNI_CHECKS } from './cni.ts';
import { CONNECTION_CHECKS } from './connections.ts';
import { DEPLOYMENT_CHECKS } from './deployment.ts';
import { FIREWALL_CHECKS } from './firewall.ts';
import { GATEWAY_CHECKS } from './gateway.ts';
import { K8S_CHECKS } from './k8s.ts';
import { KUBE_PROXY_CHECKS } from './kubeproxy.ts';
import { MTU_CHECKS } from './mtu.ts';
import { PRE_CHECKS } from './pre.ts';
import { PRE_SITE_CHECKS } from './presites.ts';
import { ROUTES_CHECKS } from './routes.ts';

/** Every check there is. */
export const CHECKS: readonly Check[] = [
  ...PRE_CHECKS,
  ...PRE_SITE_CHECKS,
  ...K8S_CHECKS,
  ...CNI_CHECKS,
  ...KUBE_PROXY_CHECKS,
  ...DEPLOYMENT_CHECKS,
  ...GATEWAY_CHECKS,
  ...BROKER_CHECKS,
  ...ROUTES_CHECKS,
  ...FIREWALL_CHECKS,
  ...CONNECTION_CHECKS,
  ...MTU_CHECKS,
];

/** The checks of one category, or of all, in the order of the categories. */
export function checksOf(category: Category | 'all'): readonly Check[] {
  const wanted = CATEGORIES.filter((name) => category === 'all' || name === category);
  return wanted.flatMap((name) => CHECKS.filter((check) => check.category === name));
}

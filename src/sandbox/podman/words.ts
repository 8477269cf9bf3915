import type { Container } from '../../kube/objects.ts';
import type { Mount } from '../pods/mounts.ts';

/** The part of a container's (or pod's) securityContext that changes how it is run. */
interface SecurityContext {
  readonly privileged?: boolean;
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly seccompProfile?: { readonly type?: string };
  readonly seLinuxOptions?: { readonly type?: string; readonly level?: string };
}

/** What a container is run with. */
export interface ContainerRun {
  readonly name: string;
  readonly container: Container;
  /** securityContext of the pod; that of the container comes first. */
  readonly podSecurity: unknown;
  /** `$(NAME)` filled in; empty: as the image says. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Sources are absolute. */
  readonly mounts: readonly Mount[];
  /** File of the network namespace. */
  readonly network: string;
  readonly hostName: string;
  readonly cgroupParent: string;
}

function capabilityWords({ capabilities = {} }: SecurityContext): readonly string[] {
  const { add = [], drop = [] } = capabilities;
  return [...drop.map((name) => `--cap-drop=${name}`), ...add.map((name) => `--cap-add=${name}`)];
}

function userWords({ runAsUser, runAsGroup }: SecurityContext): readonly string[] {
  if (runAsUser === undefined) return [];
  return [`--user=${runAsUser}${runAsGroup === undefined ? '' : `:${runAsGroup}`}`];
}

/**
 * What stands for a securityContext on podman's command line. As with a kubelet, system calls are not filtered unless the
 * context asks for it, and a root that is read-only has no writable folders but those that are mounted.
 */
export function securityWords(context: SecurityContext): readonly string[] {
  const { privileged, allowPrivilegeEscalation, readOnlyRootFilesystem, seccompProfile, seLinuxOptions } = context;
  return [
    ...(privileged === true ? ['--privileged'] : capabilityWords(context)),
    ...userWords(context),
    ...(allowPrivilegeEscalation === false ? ['--security-opt=no-new-privileges'] : []),
    ...(readOnlyRootFilesystem === true ? ['--read-only', '--read-only-tmpfs=false'] : []),
    ...(seccompProfile?.type === 'RuntimeDefault' ? [] : ['--security-opt=seccomp=unconfined']),
    ...(seLinuxOptions?.type === undefined ? [] : [`--security-opt=label=type:${seLinuxOptions.type}`]),
  ];
}

/** Devices can be opened as in a kubelet's mounts, where the cgroup lets them. */
function mountWord({ source, target, readOnly }: Mount): string {
  return `--volume=${source}:${target}:${readOnly ? 'ro' : 'rw'},dev,suid,exec,rprivate`;
}

function contextOf(context: unknown): SecurityContext {
  return typeof context === 'object' && context !== null ? context : {};
}

/** The command line of podman that runs a container in the background, its output on podman's own descriptors. */
export function runWords(run: ContainerRun): readonly string[] {
  const { name, container, podSecurity, command, args, env, mounts, network, hostName, cgroupParent } = run;
  const security = { ...contextOf(podSecurity), ...contextOf(container.securityContext) };
  // The JSON form takes more than one word; an empty command leaves the image's.
  const entrypoint = command.length === 0 ? [] : [`--entrypoint=${JSON.stringify(command)}`];
  return [
    'run',
    '--detach',
    '--pull=never',
    '--log-driver=passthrough',
    `--name=${name}`,
    `--network=ns:${network}`,
    '--uts=private',
    `--hostname=${hostName}`,
    `--cgroup-parent=${cgroupParent}`,
    ...securityWords(security),
    ...mounts.map(mountWord),
    ...Object.entries(env).map(([key, value]) => `--env=${key}=${value}`),
    ...entrypoint,
    container.image ?? '',
    ...args,
  ];
}

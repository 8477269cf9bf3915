/** Flags of every `sandbox` command. */
export interface SandboxFlags {
  readonly name: string;
}

/** Flags of `sandbox up`. */
export interface UpFlags extends SandboxFlags {
  readonly clusters: readonly string[];
  readonly nodes: number;
  readonly gateways: number;
  /** Milliseconds. */
  readonly wanLatency: number;
  readonly controlPlane: string;
  readonly runtime: 'process' | 'podman';
}

/** Flags of `sandbox fault`. */
export interface FaultFlags extends SandboxFlags {
  readonly kill?: boolean;
  readonly blackhole?: boolean;
  readonly direction?: 'both' | 'in' | 'out';
  /** Percent. */
  readonly loss?: number;
  readonly only?: 'wan' | 'tunnels';
  /** Name of a node. */
  readonly cut?: string;
  /** Name of a program. */
  readonly killProcess?: string;
  readonly pauseProcess?: string;
  /** An address. */
  readonly renumber?: string;
  readonly api?: 'refuse' | 'blackhole';
  /** Percent. */
  readonly wanLoss?: number;
  /** Names of two clusters. */
  readonly partition?: readonly string[];
  readonly heal?: boolean;
}

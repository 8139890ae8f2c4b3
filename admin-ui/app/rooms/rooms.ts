// Every room that there is. The navigation, the search and the addresses are made from this one list.
import type { Component } from "svelte";
import type { Me } from "../lib/types.ts";
import type { IconName } from "../parts/Icon.svelte";

type RoomView = Component<{ me: Me }>;

export interface Room {
  /** Its first segment below `/admin/`. */
  path: string;
  name: string;
  icon: IconName;
  group: "" | "Access" | "People" | "Machines" | "Record";
  load: () => Promise<{ default: RoomView }>;
}

// INVARIANT: one promise a room, or each change of address would build the room anew and lose what is typed in it.
function once(load: () => Promise<{ default: RoomView }>): Room["load"] {
  let loaded: Promise<{ default: RoomView }> | undefined;
  return () => (loaded ??= load());
}

export const ROOMS: Room[] = [
  { path: "", name: "Overview", icon: "overview", group: "", load: once(() => import("./overview/Overview.svelte")) },
  { path: "policies", name: "Policies", icon: "policies", group: "Access", load: once(() => import("./policies/Policies.svelte")) },
  { path: "apps", name: "Apps", icon: "apps", group: "Access", load: once(() => import("./apps/Apps.svelte")) },
  { path: "users", name: "Users", icon: "users", group: "People", load: once(() => import("./users/Users.svelte")) },
  { path: "log", name: "Log", icon: "log", group: "Record", load: once(() => import("./log/Log.svelte")) },
];

export const roomAt = (path: string): Room | undefined => ROOMS.find((room) => room.path === path);

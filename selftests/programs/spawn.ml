(* SPDX-License-Identifier: GPL-2.0 *)
(* Unix.create_process(), by the bytecode interpreter, which loads the library
   that spawns late. *)
open Unix

let reap pid =
  match snd (waitpid [] pid) with
  | WEXITED n -> Printf.sprintf "exited %d" n
  | WSIGNALED n -> Printf.sprintf "killed %d" n
  | WSTOPPED n -> Printf.sprintf "stopped %d" n

let show name value = Printf.printf "%s: %s\n%!" name value

let attempt name prog args =
  show name
    (try reap (create_process prog args stdin stdout stderr)
     with Unix_error (error, call, _) -> call ^ " " ^ error_message error)

let () =
  for i = 1 to 20 do
    attempt "echo" "echo" [| "echo"; string_of_int i |]
  done;
  attempt "status" "sh" [| "sh"; "-c"; "exit 3" |];
  attempt "signal" "/bin/sh" [| "sh"; "-c"; "kill -TERM $$" |];
  attempt "absent" "no-such-program" [| "no-such-program" |];
  attempt "denied" "/etc/passwd" [| "passwd" |];

  show "swapped"
    (reap (create_process "sh"
       [| "sh"; "-c"; "echo to stdout; echo to stderr >&2" |]
       stdin stderr stdout));

  let from_tr, tr_out = pipe ~cloexec:true () in
  let tr_in, to_tr = pipe ~cloexec:true () in
  let tr = create_process "tr" [| "tr"; "a-z"; "A-Z" |] tr_in tr_out stderr in
  close tr_in;
  close tr_out;
  let out = out_channel_of_descr to_tr in
  output_string out "through a pipe";
  close_out out;
  show "pipes" (input_line (in_channel_of_descr from_tr));
  show "tr" (reap tr);

  let pid =
    create_process_env "/usr/bin/env" [| "env" |] [| "ONE=1" |] stdin stdout
      stderr
  in
  show "environment" (reap pid)

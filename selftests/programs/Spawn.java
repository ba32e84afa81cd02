// SPDX-License-Identifier: GPL-2.0
// ProcessBuilder in a large JVM with many threads. It starts a helper by
// posix_spawn(), which starts the program.
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

class Spawn {
	static final int IDLE = 200, WORKERS = 8, SPAWNS = 24;

	static String run(ProcessBuilder builder, String input)
			throws Exception {
		Process process = builder.start();

		try (var stdin = process.getOutputStream()) {
			stdin.write(input.getBytes());
		}
		String out = new String(process.getInputStream()
					.readAllBytes());
		String err = new String(process.getErrorStream()
					.readAllBytes());
		return out + err + process.waitFor();
	}

	static String shell(String command) throws Exception {
		return run(new ProcessBuilder("sh", "-c", command), "");
	}

	static void attempt(String program) throws Exception {
		try {
			System.out.println(run(new ProcessBuilder(program), ""));
		} catch (IOException e) {
			System.out.println(e.getMessage());
		}
	}

	public static void main(String[] args) throws Exception {
		var end = new CountDownLatch(1);

		for (int i = 0; i < IDLE; i++) {
			var thread = new Thread(() -> {
				try {
					end.await();
				} catch (InterruptedException e) {
				}
			});
			thread.start();
		}

		System.out.println(shell("echo out; echo err >&2; exit 3"));
		System.out.println(shell("kill -9 $$"));
		System.out.println(run(new ProcessBuilder("cat"), "input"));

		var builder = new ProcessBuilder("sh", "-c", "pwd; echo $ONE");
		builder.directory(new File("/usr"));
		builder.environment().put("ONE", "1");
		builder.redirectErrorStream(true);
		System.out.println(run(builder, ""));

		var file = new File("file");
		builder = new ProcessBuilder("echo", "to a file");
		builder.redirectOutput(file);
		System.out.println(run(builder, ""));
		System.out.print(Files.readString(file.toPath()));
		builder = new ProcessBuilder("echo", "inherited").inheritIO();
		System.out.println(builder.start().waitFor());

		attempt("/absent");
		attempt("/etc/passwd");

		ExecutorService workers = Executors.newFixedThreadPool(WORKERS);
		List<Future<String>> results = new ArrayList<>();
		for (int i = 0; i < SPAWNS; i++) {
			String text = "worker " + i;

			results.add(workers.submit(() -> run(
				new ProcessBuilder("cat"), text)));
		}
		for (var result : results)
			System.out.println(result.get());
		workers.shutdown();
		end.countDown();
	}
}

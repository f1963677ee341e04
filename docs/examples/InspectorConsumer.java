import java.io.*;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

/**
 * Reads a station's units as an MES should, with nothing but a JDK (11 or newer):
 *
 *   REDIS_PASSWORD=... java InspectorConsumer.java HOST PORT USER STATION GROUP MEMBER STORE
 *
 * STORE, a file with one line per unit, stands for your database. What is safe about it: an event is stored
 * before it is acknowledged, so a crash in between brings it again; and it is stored under its `id`, so one
 * that comes again is not stored again. USER of "-": Redis asks for no login. With a Redis library of your
 * own (Jedis, Lettuce), the commands stay the same: XGROUP CREATE, XREADGROUP, XAUTOCLAIM, XRANGE, XACK.
 */
public final class InspectorConsumer {
    private static final int BLOCK_MS = 2000;
    private static final int STALE_MS = 30_000;

    private final String key;
    private final String group;
    private final String member;
    private final Set<String> stored = new HashSet<>();
    private final FileOutputStream store;
    private String lastEntry;
    private long lastSeq;

    private InspectorConsumer(String station, String group, String member, Path file) throws IOException {
        this.key = "inspector:{" + station + "}:units";
        this.group = group;
        this.member = member;
        if (Files.exists(file)) {
            cutTornLine(file);
            for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
                stored.add(line.split(" ")[0]);
            }
        }
        this.store = new FileOutputStream(file.toFile(), true);
    }

    public static void main(String[] arguments) throws Exception {
        String host = arguments[0];
        int port = Integer.parseInt(arguments[1]);
        InspectorConsumer consumer =
            new InspectorConsumer(arguments[3], arguments[4], arguments[5], Path.of(arguments[6]));
        while (true) { // Redis may go and come: try again for ever
            try (Redis redis = new Redis(host, port, BLOCK_MS + 3000)) {
                if (!arguments[2].equals("-")) {
                    redis.ask("AUTH", arguments[2], System.getenv("REDIS_PASSWORD"));
                }
                consumer.readUntilLost(redis);
            } catch (IOException lost) {
                System.err.println("Redis: " + lost.getMessage());
                Thread.sleep(1000);
            }
        }
    }

    private void readUntilLost(Redis redis) throws IOException {
        try {
            redis.ask("XGROUP", "CREATE", key, group, "0", "MKSTREAM");
        } catch (Redis.Refused there) {
            if (!there.getMessage().startsWith("BUSYGROUP")) throw there;
        }
        // First what this member had taken and not acknowledged before it died.
        handleAll(redis, entriesOf(redis.ask("XREADGROUP", "GROUP", group, member, "STREAMS", key, "0")), true);
        while (true) {
            // Then what another member took and died over.
            List<?> stale = (List<?>) redis.ask(
                "XAUTOCLAIM", key, group, member, String.valueOf(STALE_MS), "0-0", "COUNT", "100");
            handleAll(redis, (List<?>) stale.get(1), true);
            handleAll(redis, entriesOf(redis.ask("XREADGROUP", "GROUP", group, member, "COUNT", "100",
                "BLOCK", String.valueOf(BLOCK_MS), "STREAMS", key, ">")), false);
        }
    }

    private void handleAll(Redis redis, List<?> entries, boolean again) throws IOException {
        for (Object found : entries) {
            List<?> entry = (List<?>) found;
            if (entry == null) continue; // deleted meanwhile
            String entryId = (String) entry.get(0);
            Map<String, String> fields = fieldsOf((List<?>) entry.get(1));
            if (fields.containsKey("id")) {
                if (!again) tellGaps(redis, entryId, Long.parseLong(fields.get("seq")));
                handle(fields);
            }
            redis.ask("XACK", key, group, entryId);
        }
    }

    /** Your work. `data` is the whole event as JSON; only PASSED means good. */
    private void handle(Map<String, String> fields) throws IOException {
        if (!stored.add(fields.get("id"))) return; // it came again
        String line = fields.get("id") + " " + fields.get("seq") + " " + fields.get("result") + "\n";
        store.write(line.getBytes(StandardCharsets.UTF_8));
        store.getFD().sync();
    }

    /** A number that is missing was trimmed or deleted; one in between may be another member's. */
    private void tellGaps(Redis redis, String entryId, long seq) throws IOException {
        if (lastEntry != null && seq != lastSeq + 1) {
            Set<Long> there = new HashSet<>();
            for (Object found : (List<?>) redis.ask("XRANGE", key, "(" + lastEntry, "(" + entryId)) {
                there.add(Long.parseLong(fieldsOf((List<?>) ((List<?>) found).get(1)).get("seq")));
            }
            for (long missing = lastSeq + 1; missing < seq; missing++) {
                if (!there.contains(missing)) System.err.println("gap: seq " + missing + " is missing");
            }
        }
        lastEntry = entryId;
        lastSeq = seq;
    }

    /** A crash may leave half a line: that event was not acknowledged, and comes again. */
    private static void cutTornLine(Path file) throws IOException {
        byte[] content = Files.readAllBytes(file);
        int end = content.length;
        while (end > 0 && content[end - 1] != '\n') end--;
        if (end < content.length) Files.write(file, Arrays.copyOf(content, end));
    }

    private static List<?> entriesOf(Object reply) {
        return reply == null ? List.of() : (List<?>) ((List<?>) ((List<?>) reply).get(0)).get(1);
    }

    private static Map<String, String> fieldsOf(List<?> flat) {
        Map<String, String> fields = new HashMap<>();
        for (int i = 0; flat != null && i < flat.size(); i += 2) {
            fields.put((String) flat.get(i), (String) flat.get(i + 1));
        }
        return fields;
    }

    /** As much of Redis's protocol (RESP2) as this needs. */
    private static final class Redis implements Closeable {
        private final Socket socket;
        private final DataInputStream in;
        private final OutputStream out;

        Redis(String host, int port, int timeoutMs) throws IOException {
            socket = new Socket(host, port);
            socket.setSoTimeout(timeoutMs); // longer than Redis blocks
            in = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
            out = new BufferedOutputStream(socket.getOutputStream());
        }

        Object ask(String... words) throws IOException {
            out.write(("*" + words.length + "\r\n").getBytes(StandardCharsets.UTF_8));
            for (String word : words) {
                byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
                out.write(("$" + bytes.length + "\r\n").getBytes(StandardCharsets.UTF_8));
                out.write(bytes);
                out.write("\r\n".getBytes(StandardCharsets.UTF_8));
            }
            out.flush();
            return read();
        }

        private Object read() throws IOException {
            String line = readLine();
            String rest = line.substring(1);
            switch (line.charAt(0)) {
                case '+': return rest;
                case ':': return Long.parseLong(rest);
                case '-': throw new Refused(rest);
                case '$': {
                    int length = Integer.parseInt(rest);
                    if (length < 0) return null;
                    byte[] bytes = new byte[length];
                    in.readFully(bytes);
                    readLine();
                    return new String(bytes, StandardCharsets.UTF_8);
                }
                case '*': {
                    int length = Integer.parseInt(rest);
                    if (length < 0) return null;
                    List<Object> items = new ArrayList<>();
                    for (int i = 0; i < length; i++) items.add(read());
                    return items;
                }
                default: throw new IOException("not Redis: " + line);
            }
        }

        private String readLine() throws IOException {
            StringBuilder line = new StringBuilder();
            int next;
            while ((next = in.read()) != '\r') {
                if (next < 0) throw new EOFException("the connection is closed");
                line.append((char) next);
            }
            in.read();
            return line.toString();
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }

        static final class Refused extends IOException {
            private static final long serialVersionUID = 1;

            Refused(String why) {
                super(why);
            }
        }
    }
}

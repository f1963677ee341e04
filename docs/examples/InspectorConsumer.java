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
 * STORE, a file with one line per unit, stands for your database; several members need one database, since
 * each must know what the others stored. What is safe about it: an event is stored before it is acknowledged,
 * so a crash in between brings it again; it is stored under its `id`, so one that comes again is not stored
 * again; and the largest number stored says which one comes next, over a restart too. USER of "-": Redis asks
 * for no login. With a Redis library of your own (Jedis, Lettuce), the commands stay the same: XGROUP CREATE,
 * XREADGROUP, XAUTOCLAIM, XREVRANGE, XACK.
 */
public final class InspectorConsumer {
    private static final int BLOCK_MS = 2000;
    private static final int STALE_MS = 30_000;
    private static final String PAGE = "100";

    private final String key;
    private final String group;
    private final String member;
    private final Set<String> stored = new HashSet<>();
    private final FileOutputStream store;
    private long lastSeq; // the largest stored
    private boolean knowsWhereItBegan;

    private InspectorConsumer(String station, String group, String member, Path file) throws IOException {
        this.key = "inspector:{" + station + "}:units";
        this.group = group;
        this.member = member;
        if (Files.exists(file)) {
            cutTornLine(file);
            for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
                String[] words = line.split(" ");
                stored.add(words[0]);
                lastSeq = Math.max(lastSeq, Long.parseLong(words[1]));
            }
        }
        this.store = new FileOutputStream(file.toFile(), true);
    }

    public static void main(String[] arguments) throws Exception {
        String host = arguments[0];
        int port = Integer.parseInt(arguments[1]);
        InspectorConsumer consumer =
            new InspectorConsumer(arguments[3], arguments[4], arguments[5], Path.of(arguments[6]));
        String told = "";
        while (true) { // Redis may go and come: try again for ever
            try (Redis redis = new Redis(host, port, BLOCK_MS + 3000)) {
                if (!arguments[2].equals("-")) {
                    redis.ask("AUTH", arguments[2], System.getenv("REDIS_PASSWORD"));
                }
                consumer.readUntilLost(redis);
            } catch (IOException lost) {
                String cause = printable("waiting for Redis: " + lost.getMessage());
                if (!cause.equals(told)) System.err.println(cause);
                told = cause;
                Thread.sleep(1000);
            }
        }
    }

    private void readUntilLost(Redis redis) throws IOException {
        try {
            redis.ask("XGROUP", "CREATE", key, group, "0", "MKSTREAM");
            // A new group begins with what is stored now: what was trimmed before that is no gap.
            knowsWhereItBegan = lastSeq > 0;
        } catch (Redis.Refused there) {
            if (!there.getMessage().startsWith("BUSYGROUP")) throw there;
            knowsWhereItBegan = true;
        }
        handleOwnUnfinished(redis);
        String claimFrom = "0-0";
        while (true) {
            // What another member took and died over.
            List<?> stale = (List<?>) redis.ask(
                "XAUTOCLAIM", key, group, member, String.valueOf(STALE_MS), claimFrom, "COUNT", PAGE);
            claimFrom = (String) stale.get(0); // 0-0 again once all were looked at
            List<?> claimed = (List<?>) stale.get(1);
            handleAll(redis, claimed, true);
            // Entries that were trimmed meanwhile: since Redis 7.0 a third part names them. Before, they are
            // nil, without their IDs, and are now among this member's own.
            if (stale.size() > 2) tellGone((List<?>) stale.get(2));
            if (claimed.contains(null)) handleOwnUnfinished(redis);
            handleAll(redis, entriesOf(redis.ask("XREADGROUP", "GROUP", group, member, "COUNT", PAGE,
                "BLOCK", String.valueOf(BLOCK_MS), "STREAMS", key, ">")), false);
        }
    }

    /** What this member had taken and not acknowledged, before it died say, page by page. */
    private void handleOwnUnfinished(Redis redis) throws IOException {
        String after = "0";
        while (true) {
            List<?> own = entriesOf(
                redis.ask("XREADGROUP", "GROUP", group, member, "COUNT", PAGE, "STREAMS", key, after));
            if (own.isEmpty()) return;
            handleAll(redis, own, true);
            after = (String) ((List<?>) own.get(own.size() - 1)).get(0);
        }
    }

    private void handleAll(Redis redis, List<?> entries, boolean again) throws IOException {
        List<String> gone = new ArrayList<>();
        for (Object found : entries) {
            List<?> entry = (List<?>) found;
            if (entry == null) continue; // trimmed, in Redis 6.2's XAUTOCLAIM
            String entryId = (String) entry.get(0);
            if (entry.get(1) == null) {
                gone.add(entryId); // trimmed after it was taken: it comes without fields
            } else {
                Map<String, String> fields = fieldsOf((List<?>) entry.get(1));
                String strange = whyNoEvent(fields);
                if (strange != null) {
                    System.err.println(printable("set aside: entry " + entryId + " is no event: " + strange));
                } else if (!stored.contains(fields.get("id"))) { // else it came again
                    if (!again) tellGaps(redis, entryId, Long.parseLong(fields.get("seq")));
                    handle(fields);
                }
            }
            redis.ask("XACK", key, group, entryId);
        }
        tellGone(gone);
    }

    /** Your work. `data` is the whole event as JSON; only PASSED means good. */
    private void handle(Map<String, String> fields) throws IOException {
        String line = fields.get("id") + " " + fields.get("seq") + " " + fields.get("result") + "\n";
        store.write(line.getBytes(StandardCharsets.UTF_8));
        store.getFD().sync();
        stored.add(fields.get("id"));
        lastSeq = Math.max(lastSeq, Long.parseLong(fields.get("seq")));
        knowsWhereItBegan = true;
    }

    /** Others can write to the stream too. Null: it is an event of the station. */
    private static String whyNoEvent(Map<String, String> fields) {
        for (String name : List.of("id", "seq", "schema", "result", "data")) {
            if (!fields.containsKey(name)) return "it has no field " + name;
        }
        if (!fields.get("schema").startsWith("inspector.")) return "its schema is " + fields.get("schema");
        if (!fields.get("seq").matches("[0-9]{1,18}")) return "its seq is " + fields.get("seq");
        if (!(fields.get("id") + fields.get("result")).matches("[!-~]+")) return "its id or result is odd";
        return null;
    }

    /** A number that is missing was trimmed or deleted; one in between may be another member's. */
    private void tellGaps(Redis redis, String entryId, long seq) throws IOException {
        if (!knowsWhereItBegan || seq == lastSeq + 1) return;
        if (seq <= lastSeq) {
            tellGap(lastSeq + 1, seq);
            return;
        }
        TreeSet<Long> there = new TreeSet<>(List.of(seq));
        String before = entryId;
        for (boolean more = true; more; ) {
            List<?> page = (List<?>) redis.ask("XREVRANGE", key, "(" + before, "-", "COUNT", PAGE);
            more = !page.isEmpty();
            for (Object found : page) {
                before = (String) ((List<?>) found).get(0);
                Map<String, String> fields = fieldsOf((List<?>) ((List<?>) found).get(1));
                if (whyNoEvent(fields) != null) continue;
                long other = Long.parseLong(fields.get("seq"));
                if (other > lastSeq && other < seq) there.add(other);
                else more = false;
            }
        }
        long expected = lastSeq + 1;
        for (long found : there) {
            if (found > expected) tellGap(expected, found);
            expected = found + 1;
        }
    }

    private static void tellGap(long expected, long found) {
        System.err.println("gap: expected " + expected + ", found " + found
            + " (" + Math.max(0, found - expected) + " missing)");
    }

    private static void tellGone(List<?> entryIds) {
        if (entryIds.isEmpty()) return;
        System.err.println("gone: " + entryIds.size() + " entries were taken, never acknowledged, and trimmed or"
            + " deleted since: " + entryIds.get(0) + " to " + entryIds.get(entryIds.size() - 1));
    }

    /** Nothing that a terminal would obey. */
    private static String printable(String text) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().limit(300).forEach(c -> {
            if (c >= ' ' && c <= '~') shown.append((char) c);
            else shown.append(String.format("\\u%04x", c));
        });
        return shown.toString();
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

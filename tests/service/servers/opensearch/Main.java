import static org.codelibs.opensearch.runner.OpenSearchRunner.newConfigs;

import java.util.concurrent.CountDownLatch;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** OpenSearch as a process of its own. Arguments: a folder and a port. */
final class Main {
  public static void main(String[] arguments) throws Exception {
    OpenSearchRunner runner = new OpenSearchRunner();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> close(runner)));
    try {
      runner.onBuild((number, settings) -> {
        settings.put("http.port", arguments[1]);
        settings.put("transport.port", "0");
        settings.put("network.host", "127.0.0.1");
        settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
      }).build(newConfigs().basePath(arguments[0]).numOfNode(1));
    } catch (Throwable error) {
      error.printStackTrace(System.out);
      Runtime.getRuntime().halt(1);
    }
    new CountDownLatch(1).await();
  }

  private static void close(OpenSearchRunner runner) {
    try {
      runner.close();
    } catch (Exception error) {
      error.printStackTrace(System.out);
    }
  }
}

package reasonrank.embedded;

import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.LogManager;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.ClasspathNode;
import org.elasticsearch.node.Node;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.transport.netty4.Netty4Plugin;
import org.elasticsearch.xpack.core.XPackPlugin;
import org.elasticsearch.xpack.security.Security;

/** Elasticsearch with security as a process of its own. Each argument is a setting ("http.port=9200"); SIGTERM stops it cleanly. */
public final class Main {
  private static final int STOP_SECONDS = 20;

  public static void main(String[] arguments) throws InterruptedException {
    try {
      start(settings(arguments));
    } catch (Throwable error) { // threads of a node that is half started would keep the process alive
      error.printStackTrace(System.out);
      System.out.println("fatal: " + error);
      System.out.flush();
      Runtime.getRuntime().halt(1);
    }
    new CountDownLatch(1).await(); // a node's own threads do not
  }

  private static Settings settings(String[] arguments) {
    Settings.Builder settings = Settings.builder();
    for (String argument : arguments) {
      int equals = argument.indexOf('=');
      settings.put(argument.substring(0, equals), argument.substring(equals + 1));
    }
    return settings.build();
  }

  private static void start(Settings settings) throws Exception {
    LogManager.getLogManager().reset(); // Lucene uses it, to advise flags that make the start slower
    LogConfigurator.registerErrorListener();
    LogConfigurator.configureWithoutConfig(settings);
    LogConfigurator.configureESLogging();
    Node node = new ClasspathNode(settings, List.of(
        Netty4Plugin.class, TextAnalysis.class, XPackPlugin.class, Security.class));
    ClusterService cluster = node.injector().getInstance(ClusterService.class);
    node.injector().getInstance(RestController.class).registerHandler(new RootHandler(cluster));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(node), "stop"));
    node.start();
  }

  private static void stop(Node node) {
    try {
      node.prepareForClose();
      node.close();
      node.awaitClose(STOP_SECONDS, TimeUnit.SECONDS);
    } catch (Exception error) {
      error.printStackTrace(System.out);
    }
  }
}

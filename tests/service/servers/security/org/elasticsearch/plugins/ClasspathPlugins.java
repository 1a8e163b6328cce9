package org.elasticsearch.plugins; // for loadPlugin, loadExtensions and LoadedPlugin, which are package-private

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.elasticsearch.Version;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.plugins.spi.SPIClassIterator;

/** Plugins that are classes on the class path, where a full distribution has a folder with a descriptor for each. */
public final class ClasspathPlugins extends PluginsService {
  private final List<LoadedPlugin> loaded;

  public ClasspathPlugins(Settings settings, PluginsLoader loader, List<Class<? extends Plugin>> classes) {
    super(settings, null, loader);
    loaded = classes.stream().map(type -> load(type, settings)).toList();
    loadExtensions(loaded);
  }

  @Override
  protected List<LoadedPlugin> plugins() {
    return loaded;
  }

  /** Each provider once: plugins share one class loader here, and each of them would find all. */
  @Override
  public <T> List<? extends T> loadServiceProviders(Class<T> service) {
    List<T> found = new ArrayList<>();
    SPIClassIterator.get(service, getClass().getClassLoader())
        .forEachRemaining(type -> found.add(createExtension(type, service, pluginOf(type))));
    return found;
  }

  /** The plugin that a provider's constructor wants; any where it wants none. */
  private Plugin pluginOf(Class<?> provider) {
    return loaded.stream().map(LoadedPlugin::instance)
        .filter(plugin -> Stream.of(provider.getConstructors())
            .anyMatch(made -> List.of(made.getParameterTypes()).equals(List.of(plugin.getClass()))))
        .findFirst().orElse(loaded.getFirst().instance());
  }

  private static LoadedPlugin load(Class<? extends Plugin> type, Settings settings) {
    return new LoadedPlugin(descriptor(type), loadPlugin(type, settings, null), type.getClassLoader());
  }

  /** Read from a text, as the constructor's arguments differ between Elasticsearch 8 and 9. */
  private static PluginDescriptor descriptor(Class<?> type) {
    String text = String.join("\n",
        "name=" + type.getName(),
        "classname=" + type.getName(),
        "description=on the class path",
        "version=NA",
        "elasticsearch.version=" + Version.CURRENT,
        "java.version=" + Runtime.version().feature());
    try {
      return PluginDescriptor.readInternalDescriptorFromStream(
          new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}

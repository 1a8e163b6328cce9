package org.elasticsearch.node; // for NodeConstruction and newPluginService, which are package-private

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.ClasspathPlugins;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsService;

/** A node whose plugins are classes on the class path. */
public final class ClasspathNode extends Node {
  public ClasspathNode(Settings settings, List<Class<? extends Plugin>> plugins) {
    super(NodeConstruction.prepareConstruction(
        new Environment(settings, null),
        PluginsLoader.createPluginsLoader(Set.of(), Set.of(), Map.of(), false),
        new NodeServiceProvider() {
          @Override
          PluginsService newPluginService(Environment environment, PluginsLoader loader) {
            return new ClasspathPlugins(environment.settings(), loader, plugins);
          }
        },
        true));
  }
}

package reasonrank.embedded;

import java.io.IOException;
import java.io.StringReader;
import java.text.ParseException;
import java.util.List;
import java.util.function.Function;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.synonym.SolrSynonymParser;
import org.apache.lucene.analysis.synonym.SynonymFilter;
import org.apache.lucene.analysis.synonym.SynonymGraphFilter;
import org.apache.lucene.analysis.synonym.SynonymMap;
import org.apache.lucene.analysis.synonym.WordnetSynonymParser;
import org.elasticsearch.index.IndexService.IndexCreationContext;
import org.elasticsearch.index.analysis.CharFilterFactory;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;

/** `synonym` and `synonym_graph`: rules in the settings or a file, read with the tokenizer and filters before them. */
final class Synonyms {
  static AnalysisProvider<TokenFilterFactory> provider(boolean graph) {
    return (index, environment, name, settings) -> {
      Options options = new Options(index, environment, settings);
      return new TokenFilterFactory() {
        @Override
        public String name() {
          return name;
        }

        @Override
        public TokenStream create(TokenStream in) {
          throw new IllegalStateException("filter [" + name + "] only works inside an analyzer");
        }

        @Override
        public TokenFilterFactory getChainAwareTokenFilterFactory(IndexCreationContext context,
            TokenizerFactory tokenizer, List<CharFilterFactory> charFilters, List<TokenFilterFactory> before,
            Function<String, TokenFilterFactory> all) {
          return factory(name, parsed(options, chain(tokenizer, before)), graph);
        }
      };
    };
  }

  private static TokenFilterFactory factory(String name, SynonymMap map, boolean graph) {
    return new TokenFilterFactory() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public TokenStream create(TokenStream in) {
        if (map.fst == null) { // no rules
          return in;
        }
        return graph ? new SynonymGraphFilter(in, map, false) : new SynonymFilter(in, map, false);
      }
    };
  }

  private static SynonymMap parsed(Options options, Analyzer analyzer) {
    if (options.settings().hasValue("synonyms_set")) {
      throw new IllegalArgumentException("synonyms_set is not supported here; give the rules in [synonyms]");
    }
    boolean expand = options.flag("expand", true);
    SynonymMap.Parser parser = options.text("format", "").equals("wordnet")
        ? new WordnetSynonymParser(true, expand, analyzer)
        : new SolrSynonymParser(true, expand, analyzer);
    try (analyzer) {
      parser.parse(new StringReader(String.join("\n", options.words("synonyms"))));
      return parser.build();
    } catch (IOException | ParseException error) {
      throw new IllegalArgumentException("synonyms cannot be read: " + error.getMessage(), error);
    }
  }

  private static Analyzer chain(TokenizerFactory tokenizers, List<TokenFilterFactory> before) {
    return new Analyzer() {
      @Override
      protected TokenStreamComponents createComponents(String field) {
        Tokenizer tokenizer = tokenizers.create();
        TokenStream stream = tokenizer;
        for (TokenFilterFactory filter : before) {
          stream = filter.getSynonymFilter().create(stream);
        }
        return new TokenStreamComponents(tokenizer, stream);
      }
    };
  }
}
